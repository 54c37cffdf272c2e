"""The rows by which records are found: of their keys and of their links, with what forwarding reads beside them (R3).

A statement for each kind of row: SQLite's driver for Python takes a microsecond over each None, bool and bytes that it
is given, and an import writes a million rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeAlias

from hub.core.records import Deal
from hub.store.directory_file import Record
from hub.store.instant import microseconds

__all__ = ["Key", "Link", "Rows"]

#: (kind of key, key)
Key: TypeAlias = tuple[str, str]
#: (kind and id of what it hangs on, kind and id of what hangs there)
Link: TypeAlias = tuple[int, str, int, str]

_PUT_PHONE: Final = (
    "INSERT INTO holder VALUES (?, 'phone', ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET seen = excluded.seen, responsible = excluded.responsible"
)
_PUT_KEY: Final = "INSERT INTO holder VALUES (?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT DO NOTHING"
_PUT_DEAL: Final = (
    "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET seen = excluded.seen, responsible = excluded.responsible,"
    " is_open = excluded.is_open, changed = excluded.changed"
)
_PUT_LINK: Final = "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL) ON CONFLICT DO NOTHING"

_PHONE_KEY, _DEAL_KEY = itemgetter(slice(4)), itemgetter(slice(6))


@dataclass(slots=True)
class Rows:
    """The rows of one account that are to be written; in the order of their keys neighbours fall on the same page."""

    account: int
    #: account, number, kind and id, with when the record was read and whose it is
    phones: list[tuple[int, str, int, str, int, str | None]] = field(default_factory=list)
    #: account, kind of key, key, kind and id
    keys: list[tuple[int, str, str, int, str]] = field(default_factory=list)
    #: what a deal tells: account, link, who tells, with when it was read, whose it is, whether it is open, its change
    deals: list[tuple[int, int, str, int, str, int, int, str | None, int, int | None]] = field(default_factory=list)
    #: what others tell: account, link, who tells
    links: list[tuple[int, int, str, int, str, int]] = field(default_factory=list)

    def add(self, record: Record, kind: int, seen: int, keys: Iterable[Key], links: Iterable[Link]) -> None:
        """``keys`` that lead to ``record``, read at ``seen``, and ``links`` of which it tells."""
        account, id, responsible = self.account, record.id, record.responsible
        for key_kind, key in keys:
            if key_kind == "phone":
                self.phones.append((account, key, kind, id, seen, responsible))
            else:
                self.keys.append((account, key_kind, key, kind, id))
        if not isinstance(record, Deal):
            self.links += [(account, *link, kind) for link in links]
        elif links:
            # a CRM that tells no time of change tells when it was made (A14)
            at = record.updated_at or record.created_at
            told = (kind, seen, responsible, int(record.is_open), None if at is None else microseconds(at))
            self.deals += [(account, *link, *told) for link in links]

    def write(self, driver: sqlite3.Connection) -> None:
        """Into the open transaction of ``driver``."""
        driver.executemany(_PUT_PHONE, sorted(self.phones, key=_PHONE_KEY))
        driver.executemany(_PUT_KEY, sorted(self.keys))
        driver.executemany(_PUT_DEAL, sorted(self.deals, key=_DEAL_KEY))
        driver.executemany(_PUT_LINK, sorted(self.links))
