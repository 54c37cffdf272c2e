"""Folding what a CRM told into the directory: the newest knowledge of each record stays, whatever the order (H6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.store.directory_file import KINDS, Record, dump_record, load_record
from hub.store.schema import microseconds

__all__ = ["OWN_WRITE_MARGIN", "fold_records", "keys_of", "links_of", "records_of"]

#: A record of our own write comes without the CRM's time of change. It counts as this much older than the moment at
#: which we knew of it (a request's time, and clocks that differ), so that what the CRM tells of it later wins.
OWN_WRITE_MARGIN: Final = timedelta(seconds=60)

_CONTACT, _COMPANY = KINDS[RecordKind.CONTACT], KINDS[RecordKind.COMPANY]
_DEAL, _TASK = KINDS[RecordKind.DEAL], KINDS[RecordKind.TASK]

#: (kind of key, key)
Key = tuple[str, str]
#: (kind and id of what it hangs on, kind and id of what hangs there)
Link = tuple[int, str, int, str]


def records_of(changes: Changes) -> list[Record]:
    """All records of ``changes``, those first on which others hang."""
    return [*changes.companies, *changes.contacts, *changes.deals, *changes.tasks]


def keys_of(record: Record, key_fields: Collection[str]) -> set[Key]:
    """By what the record is found: phones, e-mails, and those custom fields that identify (J4)."""
    if not isinstance(record, Contact | Company):
        return set()
    found: set[Key] = {("phone", phone) for phone in record.phones}
    found.update(("email", email.strip().lower()) for email in record.emails)
    for field_id in key_fields:
        if value := record.fields.get(field_id, "").strip():
            found.add((f"field:{field_id}", value))
    return found


def links_of(record: Record) -> set[Link]:
    """Which deals and tasks hang on which contacts and companies, as far as this record tells."""
    match record:
        case Contact():
            return {(_CONTACT, record.id, _DEAL, deal) for deal in record.deal_ids}
        case Company():
            return {(_COMPANY, record.id, _DEAL, deal) for deal in record.deal_ids}
        case Deal():
            found = {(_CONTACT, contact, _DEAL, record.id) for contact in record.contact_ids}
            if record.company_id:
                found.add((_COMPANY, record.company_id, _DEAL, record.id))
            return found
        case Task():
            return set() if record.on is None else {(KINDS[record.on.kind], record.on.id, _TASK, record.id)}


def _kind(record: Record) -> int:
    match record:
        case Contact():
            return _CONTACT
        case Company():
            return _COMPANY
        case Deal():
            return _DEAL
        case Task():
            return _TASK


def fold_records(
    driver: sqlite3.Connection,
    account: int,
    records: Iterable[Record],
    deleted: Iterable[RecordRef],
    touched: Iterable[RecordRef],
    *,
    seen_at: datetime,
    key_fields: Collection[str],
) -> None:
    """Fold into the open transaction of ``driver``.

    Of two states of a record the one that the CRM changed later stays; at a tie, what was read later; then, so that
    the order never matters, the greater bytes. A task that is done counts as deleted.
    """
    seen = microseconds(seen_at)
    for record in records:
        body = None if isinstance(record, Task) and not record.is_open else dump_record(record)
        version = microseconds(record.updated_at or seen_at - OWN_WRITE_MARGIN)
        _fold(driver, account, _kind(record), record.id, version, seen, body, record, key_fields)
    for ref in deleted:
        _fold(driver, account, KINDS[ref.kind], ref.id, seen, seen, None, None, key_fields)
    for ref in touched:
        driver.execute(
            "INSERT INTO touched (account, kind, id, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            (account, KINDS[ref.kind], ref.id, seen),
        )


def _fold(
    driver: sqlite3.Connection,
    account: int,
    kind: int,
    id: str,
    version: int,
    seen: int,
    body: bytes | None,
    record: Record | None,
    key_fields: Collection[str],
) -> None:
    where = (account, kind, id)
    # whoever was told to read it again has done so, if this was read later
    driver.execute("DELETE FROM touched WHERE account = ? AND kind = ? AND id = ? AND at < ?", (*where, seen))
    known = driver.execute(
        "SELECT version, seen, body FROM record WHERE account = ? AND kind = ? AND id = ?", where
    ).fetchone()
    before: Record | None = None
    if known is not None:
        if (version, seen, body or b"") < (known[0], known[1], known[2] or b""):
            return
        if known[2] == body:
            driver.execute(
                "UPDATE record SET version = ?, seen = ? WHERE account = ? AND kind = ? AND id = ?",
                (version, seen, *where),
            )
            return
        before = None if known[2] is None else load_record(kind, known[2])
    driver.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)", (*where, version, seen, body))
    after = None if body is None else record
    old_keys = keys_of(before, key_fields) if before else set()
    new_keys = keys_of(after, key_fields) if after else set()
    for key in old_keys - new_keys:
        driver.execute(
            "DELETE FROM holder WHERE account = ? AND key_kind = ? AND key = ? AND kind = ? AND id = ?",
            (account, *key, kind, id),
        )
    for key in new_keys - old_keys:
        driver.execute("INSERT OR IGNORE INTO holder VALUES (?, ?, ?, ?, ?)", (account, *key, kind, id))
    old_links = links_of(before) if before else set()
    new_links = links_of(after) if after else set()
    for link in old_links - new_links:
        driver.execute(
            "DELETE FROM link WHERE account = ? AND on_kind = ? AND on_id = ? AND kind = ? AND id = ? AND told_by = ?",
            (account, *link, kind),
        )
    for link in new_links - old_links:
        driver.execute("INSERT OR IGNORE INTO link VALUES (?, ?, ?, ?, ?, ?)", (account, *link, kind))
