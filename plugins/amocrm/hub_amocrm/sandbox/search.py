"""The text search behind ``query=``: an index of its own, which may lag behind the records.

The vendor compares phones by their last seven digits (reference 19), so numbers that merely look
alike are found too: the caller has to compare for itself.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

#: Digits that decide whether two numbers are "the same" for ``query=``.
TAIL = 7
_PHONE_LIKE = re.compile(r"[\d\s()+.\-]+")
_NOT_DIGIT = re.compile(r"\D")


def tail(text: str) -> int | None:
    """The last seven digits of a text with at least seven, as a number; else None.

    Numbers: a million of them take far less memory than as many strings.
    """
    digits = _NOT_DIGIT.sub("", text)
    # 1 in front keeps leading zeros apart from missing digits.
    return int("1" + digits[-TAIL:]) if len(digits) >= TAIL else None


class SearchIndex:
    """Which records of one kind hold which words and numbers.

    ``texts`` gives a record's searchable texts. A change is seen ``lag`` seconds after it was made.
    """

    def __init__(self, now: Callable[[], float], lag: Callable[[], float]) -> None:
        self._now = now
        self._lag = lag
        self._texts: dict[int, tuple[str, ...]] = {}
        self._by_tail: dict[int, list[int]] = {}
        self._waiting: deque[tuple[float, int, tuple[str, ...]]] = deque()

    def put(self, record_id: int, texts: tuple[str, ...]) -> None:
        """Index the record anew, now or after the lag."""
        self._waiting.append((self._now(), record_id, texts))

    def put_at_once(self, record_id: int, texts: tuple[str, ...]) -> None:
        """Index a record that was there before anybody looked."""
        self._forget(record_id)
        self._texts[record_id] = texts
        for number in self._numbers(texts):
            self._by_tail.setdefault(number, []).append(record_id)

    def find(self, query: str) -> list[int]:
        """Ids of the records that match, in no promised order."""
        self._catch_up()
        query = query.strip()
        if not query:
            return []
        number = tail(query) if _PHONE_LIKE.fullmatch(query) else None
        if number is not None:
            return list(self._by_tail.get(number, ()))
        wanted = query.casefold()
        return [i for i, texts in self._texts.items() if any(wanted in text.casefold() for text in texts)]

    def _catch_up(self) -> None:
        seen = self._now() - self._lag()
        while self._waiting and self._waiting[0][0] <= seen:
            _, record_id, texts = self._waiting.popleft()
            self.put_at_once(record_id, texts)

    def _forget(self, record_id: int) -> None:
        for number in self._numbers(self._texts.pop(record_id, ())):
            self._by_tail[number].remove(record_id)

    @staticmethod
    def _numbers(texts: tuple[str, ...]) -> set[int]:
        return {number for text in texts if (number := tail(text)) is not None}
