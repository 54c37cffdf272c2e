"""Folding what a CRM told into the directory: the newest knowledge of each record stays, whatever the order (H6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import orjson

from hub.core.interaction import Identity
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.store.directory_file import KINDS, Record, dump_record, load_record
from hub.store.directory_rows import Key, Link, Rows
from hub.store.instant import microseconds

__all__ = [
    "BY_NAME",
    "OWN_WRITE_MARGIN",
    "Merged",
    "Told",
    "answered",
    "fold_records",
    "fold_told",
    "keys_asked",
    "keys_of",
    "links_of",
    "name_key",
    "records_of",
]

#: stands among the custom fields that identify where the policy's keys have the name (J7)
BY_NAME: Final = "@name"

#: A record of our own write comes without the CRM's time of change. It counts as this much older than the moment at
#: which we knew of it (a request's time, and clocks that differ), so that what the CRM tells of it later wins.
OWN_WRITE_MARGIN: Final = timedelta(seconds=60)

_CONTACT, _COMPANY = KINDS[RecordKind.CONTACT], KINDS[RecordKind.COMPANY]
_DEAL, _TASK = KINDS[RecordKind.DEAL], KINDS[RecordKind.TASK]

_CARDS: Final = (Contact, Company)
_KIND_OF: Final[Mapping[type, int]] = {Contact: _CONTACT, Company: _COMPANY, Deal: _DEAL, Task: _TASK}

_PUT_RECORD: Final = (
    "INSERT INTO record VALUES (?, ?, ?, ?, ?, {})"
    " ON CONFLICT DO UPDATE SET version = excluded.version, seen = excluded.seen, body = excluded.body"
)

#: a record's kind, id, when the CRM changed it, when that was read, and what it was (None: deleted)
Told = tuple[int, str, int, int, bytes | None, Record | None]


def records_of(changes: Changes) -> list[Record]:
    """All records of ``changes``, those first on which others hang."""
    return [*changes.companies, *changes.contacts, *changes.deals, *changes.tasks]


def answered(changes: Changes) -> set[RecordRef]:
    """The records of which ``changes`` say what they are, or that they are gone."""
    return {*(record.ref for record in records_of(changes)), *changes.deleted}


def keys_of(record: Record, key_fields: Collection[str]) -> set[Key]:
    """By what the record is found: phones, e-mails, and those custom fields that identify (J4)."""
    if not isinstance(record, _CARDS):
        return set()
    found: set[Key] = {("phone", phone) for phone in record.phones}
    if record.emails:
        found.update(("email", email.strip().lower()) for email in record.emails)
    for field_id in key_fields:
        if field_id == BY_NAME:
            if isinstance(record, Contact) and (name := name_key(record.name)):
                found.add((f"field:{BY_NAME}", name))
        elif value := record.fields.get(field_id, "").strip():
            found.add((f"field:{field_id}", value))
    return found


def keys_asked(identity: Identity, field_ids: Mapping[str, Sequence[str]]) -> list[Key]:
    """By which keys a client is looked for; ``field_ids`` as in `Directory.lookup`."""
    keys = [("phone", str(phone)) for phone in identity.phones]
    keys += [("email", email.strip().lower()) for email in identity.emails]
    keys += [
        (f"field:{field_id}", value.strip())
        for name, value in identity.fields.items()
        for field_id in field_ids.get(name, ())
        if value.strip()
    ]
    if BY_NAME in field_ids and (named := name_key(identity.name)):
        keys.append((f"field:{BY_NAME}", named))
    return list(dict.fromkeys(keys))


def name_key(name: str) -> str:
    """A person's name as a key (J7), "" for a single word: it would lead to half the address book."""
    words = name.casefold().split()
    return " ".join(words) if len(words) > 1 else ""


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


@dataclass(slots=True)
class Merged:
    """What several of our own writes came to, one after the other: as if each were folded by itself."""

    records: dict[RecordRef, Record] = field(default_factory=dict)
    deleted: dict[RecordRef, None] = field(default_factory=dict)
    touched: dict[RecordRef, None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many records they concern."""
        return len(self.records) + len(self.deleted) + len(self.touched)

    def add(self, changes: Changes, done_at: datetime) -> None:
        """Take in what was done at ``done_at``, later than all before."""
        for record in records_of(changes):
            known = self.records.get(record.ref)
            changed_at = record.updated_at or done_at - OWN_WRITE_MARGIN
            if known is None or known.updated_at is None or known.updated_at <= changed_at:
                self.records[record.ref] = replace(record, updated_at=changed_at)
                self.deleted.pop(record.ref, None)
        for ref in changes.deleted:
            self.records.pop(ref, None)
            self.deleted[ref] = None
        self.touched |= dict.fromkeys(changes.touched)

    def changes(self) -> Changes:
        """All of it."""
        found = self.records.values()
        return Changes(
            contacts=tuple(one for one in found if isinstance(one, Contact)),
            companies=tuple(one for one in found if isinstance(one, Company)),
            deals=tuple(one for one in found if isinstance(one, Deal)),
            tasks=tuple(one for one in found if isinstance(one, Task)),
            deleted=tuple(self.deleted),
            touched=tuple(self.touched),
        )


@dataclass(slots=True)
class _State:
    """What is known of one record: as the file has it, and as it is after what was folded so far."""

    #: the body in the file, None if it holds none
    stored: bytes | None
    #: when that was read, None likewise
    stored_seen: int | None
    #: when the CRM changed it, when that was read, and what it was
    at: tuple[int, int, bytes]
    body: bytes | None
    record: Record | None = None


def fold_records(
    driver: sqlite3.Connection,
    account: int,
    records: Sequence[Record],
    deleted: Iterable[RecordRef],
    touched: Iterable[RecordRef],
    *,
    seen_at: datetime,
    told_at: datetime,
    key_fields: Collection[str],
) -> None:
    """Fold into the open transaction of ``driver`` what was told at ``seen_at``, ``told_at`` by the CRM's clock.

    Of two states of a record the one that the CRM changed later stays; at a tie, what was read later; then, so that
    the order never matters, the greater bytes. A task that is done counts as deleted.

    What the file knows is read at once and what follows is written at once: an import brings hundreds of thousands
    of records, and a statement for each took three quarters of its time here.
    """
    seen = microseconds(seen_at)
    # the CRM dates its records: what it does not date is put among them by its clock, not by ours
    told_now, unknown = microseconds(told_at), microseconds(told_at - OWN_WRITE_MARGIN)
    told: list[Told] = []
    for record in records:
        kind, changed_at = _KIND_OF[type(record)], record.updated_at
        version = unknown if changed_at is None else microseconds(changed_at)
        if kind == _TASK and isinstance(record, Task) and not record.is_open:
            told.append((kind, record.id, version, seen, None, None))
        else:
            told.append((kind, record.id, version, seen, dump_record(record), record))
    told += [(KINDS[ref.kind], ref.id, told_now, seen, None, None) for ref in deleted]
    _forget_touched(driver, account, told, seen)
    fold_told(driver, account, told, key_fields)
    for ref in touched:
        driver.execute(
            "INSERT INTO touched (account, kind, id, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            (account, KINDS[ref.kind], ref.id, seen),
        )


def fold_told(driver: sqlite3.Connection, account: int, told: Sequence[Told], key_fields: Collection[str]) -> None:
    """Fold states of records, each with its own moments: what `fold_records` makes, or what another process had."""
    states = _known(driver, account, told)
    changed: dict[tuple[int, str], _State] = {}
    for kind, id, version, seen, body, after in told:
        ref, at = (kind, id), (version, seen, body or b"")
        state = states.get(ref)
        if state is None:
            states[ref] = changed[ref] = _State(None, None, at, body, after)
        elif at >= state.at:
            state.at, state.body, state.record = at, body, after
            changed[ref] = state
    gone, kept = [], []
    # in the order of the keys, neighbours fall on the same page of the file
    for ref in sorted(changed):
        state = changed[ref]
        version, seen, body = state.at
        if state.body is None:
            gone.append((account, *ref, version, seen))
        else:
            # the driver takes a microsecond to find out what bytes are
            kept.append((account, *ref, version, seen, bytearray(body)))
    driver.executemany(_PUT_RECORD.format("?"), kept)
    driver.executemany(_PUT_RECORD.format("NULL"), gone)
    _write_keys(driver, account, changed, key_fields)


def _forget_touched(driver: sqlite3.Connection, account: int, told: Sequence[Told], seen: int) -> None:
    """Whoever was told to read a record again has done so, if this was read later."""
    if driver.execute("SELECT 1 FROM touched WHERE account = ? LIMIT 1", (account,)).fetchone() is None:
        return  # as while an account is imported
    driver.executemany(
        "DELETE FROM touched WHERE account = ? AND kind = ? AND id = ? AND at < ?",
        [(account, kind, id, seen) for kind, id, *_ in told],
    )


def _known(driver: sqlite3.Connection, account: int, told: Sequence[Told]) -> dict[tuple[int, str], _State]:
    """What the file holds of the records in ``told``, in one statement per kind."""
    ids: dict[int, list[str]] = {}
    for one in told:
        ids.setdefault(one[0], []).append(one[1])
    found: dict[tuple[int, str], _State] = {}
    for kind, wanted in ids.items():
        rows = driver.execute(
            "SELECT record.id, version, seen, body FROM json_each(?3) AS wanted"
            " CROSS JOIN record ON record.account = ?1 AND record.kind = ?2 AND record.id = wanted.value",
            (account, kind, orjson.dumps(wanted).decode()),
        )
        for id, version, seen, body in rows:
            found[kind, id] = _State(body, seen, (version, seen, body or b""), body)
    return found


def _write_keys(
    driver: sqlite3.Connection,
    account: int,
    changed: Mapping[tuple[int, str], _State],
    key_fields: Collection[str],
) -> None:
    """Bring keys and links from what the file had to what ``changed`` says."""
    rows = Rows(account)
    no_holders: list[tuple[int, str, str, int, str]] = []
    no_links: list[tuple[int, int, str, int, str, int]] = []
    for (kind, id), state in changed.items():
        seen = state.at[1]
        if state.body == state.stored and seen == state.stored_seen:
            continue
        record = state.record
        new_keys = keys_of(record, key_fields) if record else set()
        new_links = links_of(record) if record else set()
        if state.body == state.stored:
            # read again: only what stands beside a phone and a deal tells when
            new_keys = {key for key in new_keys if key[0] == "phone"}
            new_links = new_links if kind == _DEAL else set()
        elif state.stored is not None:
            before = load_record(kind, state.stored)
            old_keys, old_links = keys_of(before, key_fields), links_of(before)
            no_holders += [(account, *key, kind, id) for key in old_keys - new_keys]
            no_links += [(account, *link, kind) for link in old_links - new_links]
            new_keys = {key for key in new_keys if key[0] == "phone" or key not in old_keys}
            if kind != _DEAL:
                new_links = new_links - old_links
        if record is not None:
            rows.add(record, kind, seen, new_keys, new_links)
    if no_holders:
        driver.executemany(
            "DELETE FROM holder WHERE account = ? AND key_kind = ? AND key = ? AND kind = ? AND id = ?", no_holders
        )
    if no_links:
        driver.executemany(
            "DELETE FROM link WHERE account = ? AND on_kind = ? AND on_id = ? AND kind = ? AND id = ? AND told_by = ?",
            no_links,
        )
    rows.write(driver)
