"""What the widget says: the Ukrainian texts, which are code, stand beside the declared locales (U4)."""

from __future__ import annotations

import json
import re
from pathlib import Path

WIDGET = Path(__file__).parents[2] / "widget"
PLACE = re.compile(r"\{([a-z_]+)\}")


def declared(locale: str) -> dict[str, str]:
    tree: dict[str, dict[str, str]] = json.loads((WIDGET / "i18n" / f"{locale}.json").read_text(encoding="utf-8"))
    return {f"{group}.{key}": text for group, texts in tree.items() for key, text in texts.items()}


def carried() -> dict[str, str]:
    """The tree in lib/uk.js: two levels of plain names and single-quoted texts, one a line."""
    texts: dict[str, str] = {}
    group = ""
    for line in (WIDGET / "lib" / "uk.js").read_text(encoding="utf-8").splitlines():
        if opened := re.fullmatch(r"    ([a-z]+): \{", line):
            group = opened[1]
        elif text := re.fullmatch(r"      ([a-z_]+): '(.+)',?", line):
            texts[f"{group}.{text[1]}"] = text[2].replace("\\'", "'")
    return texts


def test_ukrainian_has_every_text_of_the_declared_locales() -> None:
    assert carried().keys() == declared("ru").keys() == declared("en").keys()


def test_no_language_loses_a_place_of_a_text() -> None:
    ukrainian, russian, english = carried(), declared("ru"), declared("en")
    for key, text in english.items():
        places = set(PLACE.findall(text))
        assert set(PLACE.findall(ukrainian[key])) == set(PLACE.findall(russian[key])) == places, key


def test_each_language_names_itself() -> None:
    named = [carried()["widget.language"], declared("ru")["widget.language"], declared("en")["widget.language"]]
    assert named == ["uk", "ru", "en"]
