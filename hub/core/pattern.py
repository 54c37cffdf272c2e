"""Regular expressions that end: whatever a policy asks of whatever a client wrote, the answer comes (H4, J2).

Python's engine tries one way after the other, and ``(a+)+$`` has more ways through thirty letters than a hub has
years; it cannot be stopped either, and every project would stand still. So only expressions with few ways are left to
it. The rest is asked here, all ways at once, one letter after the other (Thompson): the same answers, in a time that
grows with the text alone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["LONGEST", "compile_pattern"]

#: of a text so much is looked at
LONGEST = 2000
#: so many letters in one place may be tried by Python's own engine
_MOST_TRIES = 16 * LONGEST
_MOST_STATES = 300

_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")

Item: TypeAlias = tuple[Any, Any]

_LETTERS = {_parser.LITERAL, _parser.NOT_LITERAL, _parser.IN, _parser.ANY}
_REPEATS = {_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT}
_LOOKS = {_parser.ASSERT, _parser.ASSERT_NOT}


def compile_pattern(text: str) -> Callable[[str], bool]:
    """Whether ``text`` is found anywhere in a string, capitals or not, looking at its first `LONGEST` letters.

    Raises ValueError for what is no regular expression, or one that could take for ever.
    """
    try:
        pattern = re.compile(text, re.IGNORECASE)
        tree = _parser.parse(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as err:
        raise ValueError(f"{text!r} is no regular expression: {err}") from None
    if _tries(tree) <= _MOST_TRIES:
        return lambda seen: pattern.search(seen[:LONGEST]) is not None
    try:
        return _Machine(tree).search
    except _Endless as err:
        raise ValueError(f"{text!r} could take for ever: {err}") from None


class _Endless(Exception):
    """Neither engine answers in time; the text says why."""


def _tries(items: Any) -> int:
    """How many letters Python's engine may try from one place of a text, at most; far too many if it is not sure."""
    found = 1
    for operator, value in items:
        found *= _tries_of(operator, value)
        if found > _MOST_TRIES:
            return found
    return found


def _tries_of(operator: Any, value: Any) -> int:
    if operator in _LETTERS or operator is _parser.AT:
        return 1
    if operator in _REPEATS:
        least, most, body = value
        inner = _tries(body)
        if most <= 1:
            return 1 + inner
        if inner > 1:
            return _MOST_TRIES + 1
        return 1 if least == most else min(int(most), LONGEST)
    if operator is _parser.BRANCH:
        return sum(_tries(one) for one in value[1])
    if operator is _parser.SUBPATTERN:
        return _tries(value[3])
    if operator is _parser.ATOMIC_GROUP:
        return _tries(value)
    if operator in _LOOKS:
        return _tries(value[1])
    # what a group held before, and the like
    return _MOST_TRIES + 1


@dataclass(slots=True)
class _State:
    """A place in the expression. ``test`` is met by one letter, or by a place between two if it ``is_look``."""

    test: re.Pattern[str] | None
    is_look: bool
    next: tuple[int, ...]


class _Machine:
    """All ways through an expression at once."""

    def __init__(self, tree: Any) -> None:
        self._of = tree.state
        self._states: list[_State] = []
        self._end = self._add(None, False, ())
        self._first = self._sequence(tree, self._end, ())

    def search(self, text: str) -> bool:
        """True if some part of the first `LONGEST` letters fits."""
        text = text[:LONGEST]
        reached: set[int] = set()
        for place in range(len(text) + 1):
            waiting, seen = [self._first, *reached], set()
            reached = set()
            while waiting:
                number = waiting.pop()
                if number in seen:
                    continue
                seen.add(number)
                if number == self._end:
                    return True
                state = self._states[number]
                if state.test is None:
                    waiting.extend(state.next)
                elif state.test.match(text, place):
                    (waiting.extend if state.is_look else reached.update)(state.next)
        return False

    def _add(self, test: re.Pattern[str] | None, is_look: bool, after: tuple[int, ...]) -> int:
        if len(self._states) >= _MOST_STATES:
            raise _Endless("it is too long with all its repetitions")
        self._states.append(_State(test=test, is_look=is_look, next=after))
        return len(self._states) - 1

    def _sequence(self, items: Any, after: int, flags: tuple[tuple[int, int], ...]) -> int:
        """Where the way through ``items``, which leads on to ``after``, begins."""
        for item in reversed(list(items)):
            after = self._item(item, after, flags)
        return after

    def _item(self, item: Item, after: int, flags: tuple[tuple[int, int], ...]) -> int:
        operator, value = item
        if operator in _LETTERS:
            return self._add(self._compiled(item, flags), False, (after,))
        if operator is _parser.AT or (operator in _LOOKS and _tries([item]) <= LONGEST):
            return self._add(self._compiled(item, flags), True, (after,))
        if operator is _parser.SUBPATTERN:
            return self._sequence(value[3], after, (*flags, (value[1], value[2])))
        if operator is _parser.BRANCH:
            return self._add(None, False, tuple(self._sequence(one, after, flags) for one in value[1]))
        if operator in (_parser.MAX_REPEAT, _parser.MIN_REPEAT):
            return self._repeat(value, after, flags)
        raise _Endless("write it without looking around or back, or with fewer repetitions")

    def _repeat(self, value: Any, after: int, flags: tuple[tuple[int, int], ...]) -> int:
        least, most, body = value
        if most == _parser.MAXREPEAT:
            again = self._add(None, False, ())
            self._states[again].next = (self._sequence(body, again, flags), after)
            begin = again
        else:
            begin = after
            for _ in range(most - least):
                begin = self._add(None, False, (self._sequence(body, begin, flags), after))
        for _ in range(least):
            begin = self._sequence(body, begin, flags)
        return begin

    def _compiled(self, item: Item, flags: tuple[tuple[int, int], ...]) -> re.Pattern[str]:
        """Python's own answer for one letter or one place between letters, under the flags of the groups around it."""
        for more, less in reversed(flags):
            item = (_parser.SUBPATTERN, (None, more, less, _parser.SubPattern(self._of, [item])))
        found: re.Pattern[str] = _compiler.compile(_parser.SubPattern(self._of, [item]), re.IGNORECASE)
        return found
