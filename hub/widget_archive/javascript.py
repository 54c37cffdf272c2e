"""A script taken apart just far enough to tell its code from its comments and strings."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Literal", "Script"]

_PAIRS = {")": "(", "]": "[", "}": "{"}
#: after one of these a slash begins a regular expression
_BEFORE_PATTERN = re.compile(r"(?:^|[(,=:\[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|delete|throw))\s*$")
_LOOP = re.compile(r"(?:\b(?:for|while)\s*|\.\s*(?:forEach|map|each|times|reduce|filter)\s*)$")
_CATCH = re.compile(r"(?:\bcatch|\.\s*(?:catch|fail))\s*$")
_DEPENDENCIES = re.compile(r"\b(?:define|require)\s*\(\s*\[(?P<list>[^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Literal:
    """A string of the script."""

    value: str
    line: int


class Script:
    """Text, the same text with everything but code blanked out, its strings, its brackets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.strings: list[Literal] = []
        #: (line, sentence) where reading had to stop; None: it could be read to its end
        self.stuck: tuple[int, str] | None = None
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        #: of each bracket's opening: its closing
        self._pairs: dict[int, int] = {}
        self.code = self._take_apart()

    def line(self, place: int) -> int:
        """The line of a position."""
        return bisect_right(self._starts, place)

    def find(self, pattern: str) -> Iterator[tuple[int, re.Match[str]]]:
        """(line, match) for each match that begins in code; the match itself may run over strings."""
        for found in re.finditer(pattern, self.text):
            if self.code[found.start()] != " " or self.text[found.start()] == " ":
                yield self.line(found.start()), found

    def is_in_loop(self, place: int) -> bool:
        """Whether the position stands in the body of a loop, or of a function given to forEach and its like."""
        return self._is_within(place, _LOOP)

    def is_in_catch(self, place: int) -> bool:
        """Whether the position stands where a failure is dealt with."""
        return self._is_within(place, _CATCH)

    @cached_property
    def dependencies(self) -> list[Literal]:
        """What ``define([...])`` and ``require([...])`` name."""
        found = []
        for line, match in self.find(_DEPENDENCIES.pattern):
            for one in re.finditer(r"(['\"])(?P<name>.*?)\1", match["list"]):
                found.append(Literal(one["name"], line + match["list"].count("\n", 0, one.start())))
        return found

    def _is_within(self, place: int, head: re.Pattern[str]) -> bool:
        for opening, closing in self._pairs.items():
            if not opening < place < closing:
                continue
            if head.search(self.code, max(0, opening - 40), opening):
                return True
            # `for (...) {`: the word stands before the round bracket that ends before this brace
            before = self.code[:opening].rstrip()
            if self.code[opening] == "{" and before.endswith(")"):
                start = next((one for one, end in self._pairs.items() if end == len(before) - 1), None)
                if start is not None and head.search(self.code, max(0, start - 40), start):
                    return True
        return False

    def _stop(self, place: int, sentence: str) -> None:
        if self.stuck is None:
            self.stuck = (self.line(place), sentence)

    def _take_apart(self) -> str:
        text, code = self.text, []
        brackets: list[tuple[str, int]] = []
        templates: list[int] = []
        place, end = 0, len(self.text)
        while place < end:
            char, two = text[place], text[place : place + 2]
            if two in ("//", "/*"):
                stop = text.find("\n" if two == "//" else "*/", place + 2)
                if stop < 0 and two == "/*":
                    self._stop(place, "a comment is opened and never closed")
                stop = end if stop < 0 else stop + (0 if two == "//" else 2)
                code.append(_blank(text[place:stop]))
                place = stop
            elif char in "'\"":
                place = self._string(place, char, code)
            elif char == "`" or (char == "}" and templates and templates[-1] == len(brackets)):
                if char == "}":
                    templates.pop()
                place = self._template(place, code, brackets, templates)
            elif char == "/" and _BEFORE_PATTERN.search("".join(code[-24:])):
                place = self._pattern(place, code)
            else:
                if char in "([{":
                    brackets.append((char, place))
                elif char in _PAIRS:
                    if not brackets or brackets[-1][0] != _PAIRS[char]:
                        self._stop(place, f"'{char}' closes what was not opened")
                    else:
                        self._pairs[brackets.pop()[1]] = place
                code.append(char)
                place += 1
        if brackets:
            self._stop(brackets[-1][1], f"'{brackets[-1][0]}' is opened and never closed")
        return "".join(code)

    def _string(self, place: int, quote: str, code: list[str]) -> int:
        stop = place + 1
        while stop < len(self.text) and self.text[stop] not in (quote, "\n"):
            stop += 2 if self.text[stop] == "\\" else 1
        if stop >= len(self.text) or self.text[stop] == "\n":
            self._stop(place, "a string is opened and never closed")
            stop = min(stop, len(self.text)) - 1
        self.strings.append(Literal(self.text[place + 1 : stop], self.line(place)))
        code.append(quote + _blank(self.text[place + 1 : stop]) + self.text[stop])
        return stop + 1

    def _template(self, place: int, code: list[str], brackets: list[tuple[str, int]], templates: list[int]) -> int:
        """From a backtick, or from the brace that ends an inner expression, to the end or the next expression."""
        stop = place + 1
        while stop < len(self.text):
            if self.text[stop] == "\\":
                stop += 2
            elif self.text[stop] == "`" or self.text.startswith("${", stop):
                break
            else:
                stop += 1
        self.strings.append(Literal(self.text[place + 1 : stop], self.line(place)))
        if stop >= len(self.text):
            self._stop(place, "a string is opened and never closed")
            code.append(_blank(self.text[place:]))
            return len(self.text)
        code.append(_blank(self.text[place:stop]))
        if self.text[stop] == "`":
            code.append(" ")
            return stop + 1
        templates.append(len(brackets))
        code.append("  ")
        return stop + 2

    def _pattern(self, place: int, code: list[str]) -> int:
        stop, is_set = place + 1, False
        while stop < len(self.text) and self.text[stop] != "\n" and (is_set or self.text[stop] != "/"):
            if self.text[stop] == "\\":
                stop += 1
            elif self.text[stop] in "[]":
                is_set = self.text[stop] == "["
            stop += 1
        if stop >= len(self.text) or self.text[stop] == "\n":
            code.append("/")
            return place + 1
        code.append("/" + _blank(self.text[place + 1 : stop]) + "/")
        return stop + 1


def _blank(text: str) -> str:
    """Spaces of the same length; line ends stay."""
    return re.sub(r"[^\n]", " ", text)
