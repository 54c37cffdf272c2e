"""Rules about ``i18n/``: every language says everything, and as briefly as the vendor wants it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.widget_archive.archive import Archive
from hub.widget_archive.files import scripts_in_use
from hub.widget_archive.finding import Fault

__all__ = [
    "must_fit_their_place",
    "must_hold_the_same_keys",
    "must_hold_what_code_asks",
    "must_not_be_empty",
    "must_stand_there_per_locale",
]

#: text -> the most letters; the vendor's marketplace checklist
LONGEST = {"widget.name": 30, "widget.short_description": 50, "widget.description": 400}
LONGEST_WORD = 19
_ASKED = re.compile(r"\bi18n\s*\(\s*(['\"])(?P<path>[\w.]+)\1\s*\)")


def must_stand_there_per_locale(archive: Archive) -> Iterator[Fault]:
    for locale in archive.locales:
        path = f"i18n/{locale}.json"
        if path not in archive.files:
            yield Fault(file=path, problem="the language is declared and this file is missing", mend="add it")
        elif not isinstance(archive.json(path), dict):
            yield Fault(file=path, line=1, problem="it is no JSON object", mend="mend the JSON")


def must_hold_the_same_keys(archive: Archive) -> Iterator[Fault]:
    every = {path for texts in archive.texts.values() for path in texts}
    for locale, texts in archive.texts.items():
        for path in sorted(every - texts.keys()):
            other = next(name for name, held in archive.texts.items() if path in held)
            yield Fault(
                file=f"i18n/{locale}.json",
                problem=f"'{path}' is missing; i18n/{other}.json has it",
                mend="every language must have the same keys",
            )


def must_not_be_empty(archive: Archive) -> Iterator[Fault]:
    for locale, texts in archive.texts.items():
        file = f"i18n/{locale}.json"
        value = archive.json(file)
        for path, text in texts.items():
            line = archive.line_at(file, path)
            if not text.strip():
                yield Fault(file=file, line=line, problem=f"'{path}' is empty", mend="translate it")
            elif not isinstance(_leaf(value, path), str):
                yield Fault(file=file, line=line, problem=f"'{path}' is no text", mend="make it one")


def must_fit_their_place(archive: Archive) -> Iterator[Fault]:
    for locale, texts in archive.texts.items():
        file = f"i18n/{locale}.json"
        for path, most in LONGEST.items():
            text = texts.get(path, "")
            plain = re.sub(r"<[^>]*>", "", text)
            line = archive.line_at(file, path)
            if len(plain) > most:
                yield Fault(
                    file=file,
                    line=line,
                    problem=f"'{path}' has {len(plain)} letters, {most} are allowed",
                    mend="say it more briefly",
                )
            if "<script" in text.lower():
                yield Fault(file=file, line=line, problem=f"'{path}' holds a script", mend="texts may hold links only")
            words = [word for word in plain.split() if len(word) > LONGEST_WORD] if path == "widget.name" else []
            for word in words:
                yield Fault(
                    file=file,
                    line=line,
                    problem=f"the word {word!r} is longer than {LONGEST_WORD} letters",
                    mend="use shorter words in the name",
                )


def must_hold_what_code_asks(archive: Archive) -> Iterator[Fault]:
    asked = [
        (path, line, found["path"])
        for path in scripts_in_use(archive)
        for line, found in archive.scripts[path].find(_ASKED.pattern)
    ]
    if "widget.call_action" not in _every(archive):
        for path in scripts_in_use(archive):
            for line, _ in archive.scripts[path].find(r"add_action\s*\(\s*['\"]phone"):
                yield Fault(
                    file=path,
                    line=line,
                    problem="clicks on numbers are taken, and no language has 'widget.call_action'",
                    mend="add it: the label of our item in the menu of a number",
                )
    for file, line, path in asked:
        for locale, texts in archive.texts.items():
            if path not in texts and not any(key.startswith(f"{path}.") for key in texts):
                yield Fault(
                    file=file,
                    line=line,
                    problem=f"asks for '{path}', which i18n/{locale}.json does not hold",
                    mend="add the text there",
                )


def _every(archive: Archive) -> set[str]:
    return {path for texts in archive.texts.values() for path in texts}


def _leaf(value: object, path: str) -> object:
    for key in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
