"""What people read, in their language: one catalogue for the console, the command line and explanations (U4).

Message ids are keys (``journal.title``), and English is a translation like the others. The catalogues are the ``.po``
files under ``locales/<language>/LC_MESSAGES``; they are compiled in memory when a language is first asked for, so
there is nothing to build and nothing that could be stale.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from hub.core.text import Language

__all__ = ["LANGUAGES", "LANGUAGE_NAMES", "Translator", "as_language", "keys_of", "read_texts", "translator"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
#: each language in its own words, for the switch
LANGUAGE_NAMES: dict[Language, str] = {"ru": "Русский", "uk": "Українська", "en": "English"}

_LOCALES = {"ru": "ru_RU", "uk": "uk_UA", "en": "en_GB"}
_PLACE = re.compile(r"\{([a-z_]+)\}")


def as_language(text: str, otherwise: Language = "en") -> Language:
    """``text`` (a stored choice, an Accept-Language header) as one of our languages, the first that fits."""
    for part in text.replace("_", "-").split(","):
        found = part.split(";")[0].split("-")[0].strip().lower()
        for language in LANGUAGES:
            if found == language:
                return language
    return otherwise


class Translator:
    """Speaks one language. Calling it gives a text; a key without a text comes back as it is."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._locale = Locale.parse(_LOCALES[language])

    @cached_property
    def _texts(self) -> Translations:
        # when the first is wanted: the line that a hub says at its start needs none of them
        return _catalogue(self.language)

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of ``key`` with its places filled; a place without a value stays empty."""
        return _fill(self._texts.gettext(key), values)

    def count(self, key: str, number: int, /, **values: object) -> str:
        """The text of ``key`` in the form that ``number`` asks for; ``{n}`` is the number."""
        text = str(self._texts.ungettext(key, key, number))
        return _fill(text, {"n": self.number(number), **values})

    def has(self, key: str) -> bool:
        """True if ``key`` has a text."""
        return self._texts.gettext(key) != key

    def or_else(self, key: str, otherwise: str) -> str:
        """The text of ``key``, or ``otherwise`` where somebody else's word (a plugin's, a policy's) has none."""
        found = self._texts.gettext(key)
        return otherwise if found == key else found

    def theirs(self, text: str) -> str:
        """A plugin's English ``text`` as its catalogue has it in this language; others come back as they are.

        The catalogue is ``locales/<language>.po`` in the plugin's package, and its message ids are the English texts;
        the host's, in ``locales/<language>``, are ``errors.po`` (what vendors' errors are made of), ``policy.po``
        (what is wrong with a policy or a setting) and ``commands.po`` (what the command line says). ``{places}`` in
        one stand for whatever was put there; what was put in is looked up as well. Lines are told one by one.
        """
        whole, patterns = _plugin_texts(self.language)
        if not text or text in whole:
            return whole.get(text, text)
        if "\n" in text:
            return "\n".join(map(self.theirs, text.split("\n")))
        for pattern, translated in patterns:
            if found := pattern.fullmatch(text):
                return _fill(translated, {name: self.theirs(value) for name, value in found.groupdict().items()})
        return text

    def phrase(self, text: str, /, **values: object) -> str:
        """Our own English ``text`` in this language, its places filled: what the command line prints."""
        return _fill(_plugin_texts(self.language)[0].get(text, text), values)

    def of_code(self, code: str, values: Mapping[str, str]) -> str:
        """The text that a plugin's catalogue has for a ``code`` of its own (a rule's reason), filled; "" if none."""
        return _fill(_plugin_texts(self.language)[0].get(code, ""), dict(values))

    # --- time and numbers ---------------------------------------------------------------------------------------

    def moment(self, at: datetime, zone: ZoneInfo) -> str:
        """Day and time to the second, in the project's zone."""
        return f"{self.day(at, zone)}, {self.clock(at, zone)}"

    def minute(self, at: datetime, zone: ZoneInfo) -> str:
        """Day and time to the minute, for deadlines."""
        return f"{self.day(at, zone)}, {at.astimezone(zone):%H:%M}"

    def day(self, at: datetime | date, zone: ZoneInfo) -> str:
        """``21 Nov 2026``."""
        local = at.astimezone(zone).date() if isinstance(at, datetime) else at
        return dates.format_date(local, "d MMM y", locale=self._locale)

    def clock(self, at: datetime, zone: ZoneInfo) -> str:
        """``14:05:09``."""
        return at.astimezone(zone).strftime("%H:%M:%S")

    def duration(self, length: timedelta | float) -> str:
        """``2 min 5 s``: two units at most, for talks and ages; milliseconds below one second."""
        seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
        if 0 < seconds < 1:
            return self("unit.milliseconds", n=max(1, round(seconds * 1000)))
        left = round(seconds)
        parts: list[str] = []
        for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
            whole, left = divmod(left, size)
            if whole or (unit == "seconds" and not parts):
                parts.append(self(f"unit.{unit}", n=whole))
            elif parts:
                break
            if len(parts) == 2:
                break
        return " ".join(parts)

    def number(self, value: float) -> str:
        """``12,345`` or ``12 345``, as the language writes it."""
        return numbers.format_decimal(value, locale=self._locale)


@lru_cache
def translator(language: Language) -> Translator:
    """The translator of ``language``; made once."""
    return Translator(language)


def read_texts(language: Language) -> None:
    """Read what pages say in ``language`` before one is asked for: some 40 ms of a processor, once."""
    _catalogue(language)


@lru_cache
def _catalogue(language: Language) -> Translations:
    found: Translations | None = None
    folder = files("hub").joinpath("locales", language, "LC_MESSAGES")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".po"):
            continue
        compiled = io.BytesIO()
        with entry.open("rb") as source:
            write_mo(compiled, read_po(source, locale=language))
        compiled.seek(0)
        part = Translations(compiled)
        if found is None:
            found = part
        else:
            found.merge(part)
    if found is None:
        raise FileNotFoundError(f"no texts for the language {language!r} in {folder}")
    return found


@lru_cache
def _plugin_texts(language: Language) -> tuple[dict[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    """The texts of every installed plugin: whole ones, and patterns of those with places, the wordiest first.

    A plugin is not imported for it, so one that does not work is read all the same.
    """
    whole: dict[str, str] = {}
    for part in ("errors", "policy", "commands"):
        whole |= _texts_of(Path(str(files("hub").joinpath("locales", language, f"{part}.po"))), language)
    for package in sorted({entry.module.partition(".")[0] for entry in entry_points(group="hub")}):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            whole |= _texts_of(Path(folder, "locales", f"{language}.po"), language)
    # the one that says most beside its places fits best
    placed = sorted((text for text in whole if _PLACE.search(text)), key=lambda text: -len(_PLACE.sub("", text)))
    return whole, tuple((_as_pattern(text), whole[text]) for text in placed)


def _texts_of(path: Path, language: Language) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open("rb") as source:
        found = read_po(source, locale=language)
    return {str(message.id): str(message.string) for message in found if message.id and message.string}


def _as_pattern(text: str) -> re.Pattern[str]:
    parts = _PLACE.split(text)
    said, known = "", set[str]()
    for number, part in enumerate(parts):
        # every second part is the name of a place; one that comes again holds the same
        said += (f"(?P={part})" if part in known else f"(?P<{part}>.*?)") if number % 2 else re.escape(part)
        known |= {part} if number % 2 else set()
    return re.compile(said, re.DOTALL)


def keys_of(language: Language) -> frozenset[str]:
    """Every key that has a text in ``language``."""
    catalogue: dict[Any, str] = _catalogue(language)._catalog  # gettext shows it nowhere else
    return frozenset(key[0] if isinstance(key, tuple) else key for key, text in catalogue.items() if key and text)


def _fill(text: str, values: dict[str, Any]) -> str:
    """Fill ``{name}`` places; nothing else of ``str.format``, since values come from outside."""
    if "{" not in text:
        return text
    return _PLACE.sub(lambda found: str(values.get(found.group(1), "")), text)
