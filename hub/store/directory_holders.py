"""Who holds a number, in as few microseconds as possible: what a forwarding answer needs of a client, no more (R3).

`Directory.lookup` gives whole records, checked against their types; that takes longer than the rest of the answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import orjson

from hub.core.client import fullness
from hub.core.forwarding import Holder, HolderDeal
from hub.core.phone import Phone
from hub.core.records import Contact, EmployeeId, RecordKind
from hub.store.directory_file import KINDS, load_record
from hub.store.instant import moment

__all__ = ["Whose", "find_holders", "read_holders"]

#: which employee of the project a responsible of the CRM is
Whose: TypeAlias = Callable[[EmployeeId | None], EmployeeId | None]
#: id and kind of a holder, when it was read, whose it is; id of a deal of it, if any, when that was read, whose it is,
#: whether it is open, when it changed
_Told: TypeAlias = tuple[
    str, int, int | None, EmployeeId | None, str | None, int | None, EmployeeId | None, int | None, int | None
]
#: kind, id, seen and body of a holder; id, seen and body of a deal of it, if any
_Row: TypeAlias = tuple[int, str, int, bytes, str | None, int | None, bytes | None]

_CONTACT, _DEAL = KINDS[RecordKind.CONTACT], KINDS[RecordKind.DEAL]

# two pages of the file: what stands beside the number and beside its deals; one statement is consistent by itself
_TOLD = f"""
SELECT holder.id, holder.kind, holder.seen, holder.responsible,
    link.id, link.seen, link.responsible, link.is_open, link.changed
FROM holder
LEFT JOIN link ON link.account = ?1 AND link.on_kind = holder.kind AND link.on_id = holder.id AND link.kind = {_DEAL}
WHERE holder.account = ?1 AND holder.key_kind = 'phone' AND holder.key = ?2
"""  # noqa: S608 — fixed numbers

# the records themselves, one row for each holder and deal of it
_STATEMENT = f"""
SELECT holder.kind, holder.id, record.seen, record.body, deal.id, deal.seen, deal.body
FROM holder
CROSS JOIN record ON record.account = ?1 AND record.kind = holder.kind AND record.id = holder.id
LEFT JOIN link ON link.account = ?1 AND link.on_kind = holder.kind AND link.on_id = holder.id AND link.kind = {_DEAL}
LEFT JOIN record AS deal ON deal.account = ?1 AND deal.kind = {_DEAL} AND deal.id = link.id
WHERE holder.account = ?1 AND holder.key_kind = 'phone' AND holder.key = ?2 AND record.body IS NOT NULL
"""  # noqa: S608 — fixed numbers


def find_holders(
    driver: sqlite3.Connection, account: int, phone: Phone, whose: Whose
) -> tuple[tuple[Holder, ...], int | None]:
    """The contacts and companies with ``phone``, and when the oldest of it was read, in microseconds since 1970.

    ``whose`` tells which employee a responsible of the CRM is. The open deals of all stand with the first.
    """
    rows: list[_Told] = driver.execute(_TOLD, (account, phone)).fetchall()
    if not rows:
        return (), None
    first = rows[0]
    oldest = first[2]
    if oldest is not None:
        if first[4] is None:
            if len(rows) == 1:
                return (Holder(id=first[0], responsible=whose(first[3])),), oldest
        elif (found := _told(rows, whose)) is not None:
            return found
    return read_holders(driver, account, phone, whose)


def _told(rows: Sequence[_Told], whose: Whose) -> tuple[tuple[Holder, ...], int] | None:
    """The one holder with its deals; None if there are several, or one of the deals did not tell of it itself."""
    id, kind, oldest, responsible, *_ = rows[0]
    if oldest is None or rows[-1][0] != id or rows[-1][1] != kind:
        return None
    deals: list[HolderDeal] = []
    known: set[str | None] = set()
    for _, _, _, _, deal, seen, owner, is_open, changed in rows:
        if deal is None or seen is None:
            continue
        known.add(deal)
        if seen < oldest:
            oldest = seen
        if is_open:
            updated_at = None if changed is None else moment(changed)
            deals.append(HolderDeal(id=deal, responsible=whose(owner), updated_at=updated_at))
    if any(row[4] not in known for row in rows):
        return None
    return (Holder(id=id, responsible=whose(responsible), open_deals=tuple(deals)),), oldest


def read_holders(
    driver: sqlite3.Connection, account: int, phone: Phone, whose: Whose
) -> tuple[tuple[Holder, ...], int | None]:
    """`find_holders` from the records: for a shared number, and where only the holder tells of a deal."""
    rows: list[_Row] = driver.execute(_STATEMENT, (account, phone)).fetchall()
    return _several(rows, whose) if rows else ((), None)


def _several(rows: Sequence[_Row], whose: Whose) -> tuple[tuple[Holder, ...], int]:
    """Each holder and each deal once, from the rows of both."""
    oldest: int = rows[0][2]
    found: dict[tuple[int, str], bytes] = {}
    read: set[str] = set()
    open_deals: tuple[HolderDeal, ...] = ()
    for kind, id, seen, body, deal_id, deal_seen, deal_body in rows:
        found[kind, id] = body
        if seen < oldest:
            oldest = seen
        if deal_id is not None and deal_body is not None and deal_seen is not None and deal_id not in read:
            if deal_seen < oldest:
                oldest = deal_seen
            read.add(deal_id)
            open_deals += _open_deal(deal_id, deal_body, whose)
    if len(found) == 1:
        responsible = whose(orjson.loads(rows[0][3]).get("responsible"))
        return (Holder(id=rows[0][1], responsible=responsible, open_deals=open_deals),), oldest
    holders: list[Holder] = []
    for (kind, id), body in found.items():
        holders.append(_holder(id, body, open_deals, whose, _fullness(kind, body)))
        open_deals = ()
    return tuple(holders), oldest


def _holder(id: str, body: bytes, deals: tuple[HolderDeal, ...], whose: Whose, filled: int) -> Holder:
    """One of several holders, among which fullness and age decide."""
    value = orjson.loads(body)
    created_at = value.get("created_at")
    return Holder(
        id=id,
        responsible=whose(value.get("responsible")),
        open_deals=deals,
        fullness=filled,
        created_at=None if created_at is None else datetime.fromisoformat(created_at),
    )


def _open_deal(id: str, body: bytes, whose: Whose) -> tuple[HolderDeal, ...]:
    """The deal, if it is open: a record is stored without what is at its default, and a deal is open."""
    deal = orjson.loads(body)
    if not deal.get("is_open", True):
        return ()
    # a CRM that tells no time of change tells when it was made (A14)
    updated_at = deal.get("updated_at") or deal.get("created_at")
    return (
        HolderDeal(
            id=id,
            responsible=whose(deal.get("responsible")),
            updated_at=None if updated_at is None else datetime.fromisoformat(updated_at),
        ),
    )


def _fullness(kind: int, body: bytes) -> int:
    if kind != _CONTACT:
        return 0
    record = load_record(kind, body)
    assert isinstance(record, Contact)
    return fullness(record)
