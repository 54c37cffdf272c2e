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

__all__ = ["Whose", "find_holders"]

#: which employee of the project a responsible of the CRM is
Whose: TypeAlias = Callable[[EmployeeId | None], EmployeeId | None]
#: kind, id, seen and body of a holder; id, seen and body of a deal of it, if any
_Row: TypeAlias = tuple[int, str, int, bytes, str | None, int | None, bytes | None]

_CONTACT, _DEAL = KINDS[RecordKind.CONTACT], KINDS[RecordKind.DEAL]

# one row for each holder and deal of it; one statement is consistent by itself
_STATEMENT = f"""
SELECT holder.kind, holder.id, record.seen, record.body, deal.id, deal.seen, deal.body
FROM holder
CROSS JOIN record ON record.account = ?1 AND record.kind = holder.kind AND record.id = holder.id
LEFT JOIN link ON link.account = ?1 AND link.on_kind = holder.kind AND link.on_id = holder.id AND link.kind = {_DEAL}
LEFT JOIN record AS deal ON deal.account = ?1 AND deal.kind = {_DEAL} AND deal.id = link.id
WHERE holder.account = ?1 AND holder.key_kind = 'phone' AND holder.key = ?2 AND record.body IS NOT NULL
"""  # noqa: S608 — fixed numbers


def find_holders(
    driver: sqlite3.Connection,
    account: int,
    phone: Phone,
    whose: Whose,
) -> tuple[tuple[Holder, ...], int | None]:
    """The contacts and companies with ``phone``, and when the oldest of it was read, in microseconds since 1970.

    ``whose`` tells which employee a responsible of the CRM is. The open deals of all stand with the first.
    """
    rows = driver.execute(_STATEMENT, (account, phone)).fetchall()
    if not rows:
        return (), None
    if len(rows) > 1:
        return _several(rows, whose)
    _, id, oldest, body, deal_id, deal_seen, deal_body = rows[0]
    deals: tuple[HolderDeal, ...] = ()
    if deal_body is not None:
        if deal_seen < oldest:
            oldest = deal_seen
        deals = _open_deal(deal_id, deal_body, whose)
    return (Holder(id=id, responsible=whose(orjson.loads(body).get("responsible")), open_deals=deals),), oldest


def _several(rows: Sequence[_Row], whose: Whose) -> tuple[tuple[Holder, ...], int]:
    """A shared number, several deals, or a deal of which contact and deal both told."""
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
        return (_holder(rows[0][1], rows[0][3], open_deals, whose, 0),), oldest
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
