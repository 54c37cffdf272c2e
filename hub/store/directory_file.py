"""The file ``directory.db``: its tables, how it is opened, how records lie in it.

It holds nothing that could not be read from the CRMs again, so it is written with ``synchronous = NORMAL``, and a
file of another layout is thrown away. It is sqlite3 without Core: a look-up has some ten microseconds (DESIGN 11).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from hub.core.records import Company, Contact, Deal, RecordKind, Task
from hub.store import codec

__all__ = ["KINDS", "Record", "connect", "dump_record", "load_record", "open_or_rebuild"]

log = logging.getLogger(__name__)

Record: TypeAlias = Contact | Company | Deal | Task

#: raised whenever the tables below change: files of a layout that `_GROWN` does not know are rebuilt from the CRM
LAYOUT = 2

#: kinds as small numbers, in keys that stand there a million times
KINDS: Final[Mapping[RecordKind, int]] = {
    RecordKind.CONTACT: 1,
    RecordKind.COMPANY: 2,
    RecordKind.DEAL: 3,
    RecordKind.TASK: 4,
    RecordKind.NOTE: 5,
}

_TABLES = """
CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    connection TEXT NOT NULL,
    as_of INTEGER,                      -- the feed is complete up to here
    key_fields BLOB NOT NULL DEFAULT '[]',
    UNIQUE (project, connection)
);
CREATE TABLE IF NOT EXISTS record (
    account INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,           -- when the CRM changed it, as far as is known
    seen INTEGER NOT NULL,              -- when that was read
    body BLOB,                          -- NULL: deleted, so that an older page cannot bring it back
    PRIMARY KEY (account, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holder (
    account INTEGER NOT NULL,
    key_kind TEXT NOT NULL,
    key TEXT NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    seen INTEGER,                       -- of a phone: the record's, and whose it is; NULL: the record has to be asked
    responsible TEXT,
    PRIMARY KEY (account, key_kind, key, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS link (
    account INTEGER NOT NULL,
    on_kind INTEGER NOT NULL,
    on_id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    told_by INTEGER NOT NULL,           -- the kind of the record that told of the link
    seen INTEGER,                       -- of a deal that told it: the deal's; NULL: the deal has to be asked
    responsible TEXT,
    is_open INTEGER,
    changed INTEGER,                    -- when the CRM changed or made the deal, if it says so
    PRIMARY KEY (account, on_kind, on_id, kind, id, told_by)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched (
    account INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;
"""

#: what makes a file of an older layout one of this; its rows send whoever asks to the records until these are told anew
_GROWN: Final[Mapping[int, Sequence[str]]] = {
    1: (
        "ALTER TABLE holder ADD COLUMN seen INTEGER",
        "ALTER TABLE holder ADD COLUMN responsible TEXT",
        "ALTER TABLE link ADD COLUMN seen INTEGER",
        "ALTER TABLE link ADD COLUMN responsible TEXT",
        "ALTER TABLE link ADD COLUMN is_open INTEGER",
        "ALTER TABLE link ADD COLUMN changed INTEGER",
    ),
}

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA temp_store = MEMORY",
    # small on purpose: the system's own page cache serves the rest, and it is not counted as ours
    "PRAGMA cache_size = -8000",
    "PRAGMA mmap_size = 0",
    # an import touches the same pages again and again: copied a quarter as often, a fifth of its time is saved
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
)


def connect(path: Path, *, is_reader: bool = False) -> sqlite3.Connection:
    """A connection in autocommit; a writer brings the tables with it and rebuilds a file of another layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # clients' names and numbers are nobody else's on this machine
    path.touch(mode=0o600)
    driver = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=15, cached_statements=256)
    for pragma in _PRAGMAS:
        driver.execute(pragma).close()
    if is_reader:
        driver.execute("PRAGMA query_only = ON").close()
        return driver
    driver.execute("BEGIN IMMEDIATE")
    layout = driver.execute("PRAGMA user_version").fetchone()[0]
    for statement in _GROWN.get(layout, ()):
        driver.execute(statement)
    if layout not in (0, LAYOUT, *_GROWN):
        for (name,) in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            driver.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES.split(";\n"):
        driver.execute(statement)
    driver.execute(f"PRAGMA user_version = {LAYOUT}")
    driver.execute("COMMIT")
    return driver


def open_or_rebuild(path: Path) -> sqlite3.Connection:
    """`connect` for the process that keeps the file: one that is damaged is set aside, and read anew from the CRM.

    It holds nothing that the CRM does not (DESIGN 3); a hub that would not start for it would lose calls.
    """
    try:
        driver = connect(path)
        try:
            for (name,) in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                driver.execute(f'SELECT * FROM "{name}" LIMIT 100').fetchall()  # noqa: S608 - names of our own tables
        except BaseException:
            driver.close()
            raise
    except sqlite3.OperationalError:
        raise  # the disk is full, or somebody locks it: the file may be sound
    except sqlite3.DatabaseError as err:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        log.warning(
            "the directory %s is damaged (%s): set aside as %s, it is read anew from the CRM",
            path,
            err,
            aside.name,
            extra={"action": "directory.damaged"},
        )
        driver = connect(path)
    return driver


_CODECS: Final[Mapping[int, codec.Codec[Any]]] = {
    KINDS[RecordKind.CONTACT]: codec.CONTACT,
    KINDS[RecordKind.COMPANY]: codec.COMPANY,
    KINDS[RecordKind.DEAL]: codec.DEAL,
    KINDS[RecordKind.TASK]: codec.TASK,
}


# Written out, kind by kind: an import asks for it a million times, and a loop over the fields takes twice as long.


def _card(record: Contact | Company) -> dict[str, Any]:
    """Whose card it is: what contacts and companies begin with."""
    said: dict[str, Any] = {"id": record.id}
    if record.name:
        said["name"] = record.name
    if record.phones:
        said["phones"] = record.phones
    if record.emails:
        said["emails"] = record.emails
    if record.responsible is not None:
        said["responsible"] = record.responsible
    return said


def _add_marks(said: dict[str, Any], record: Contact | Company | Deal) -> None:
    """What people put on a record, and when."""
    if record.fields:
        said["fields"] = record.fields
    if record.tags:
        said["tags"] = record.tags
    _add_times(said, record)


def _add_times(said: dict[str, Any], record: Record) -> None:
    if record.created_at is not None:
        said["created_at"] = record.created_at
    if record.updated_at is not None:
        said["updated_at"] = record.updated_at


def _contact(record: Contact) -> dict[str, Any]:
    said = _card(record)
    if record.company_id is not None:
        said["company_id"] = record.company_id
    _add_marks(said, record)
    if record.deal_ids:
        said["deal_ids"] = record.deal_ids
    return said


def _company(record: Company) -> dict[str, Any]:
    said = _card(record)
    _add_marks(said, record)
    if record.contact_ids:
        said["contact_ids"] = record.contact_ids
    if record.deal_ids:
        said["deal_ids"] = record.deal_ids
    return said


def _deal(record: Deal) -> dict[str, Any]:
    said: dict[str, Any] = {"id": record.id}
    if record.name:
        said["name"] = record.name
    if record.pipeline_id:
        said["pipeline_id"] = record.pipeline_id
    if record.stage_id:
        said["stage_id"] = record.stage_id
    if not record.is_open:
        said["is_open"] = record.is_open
    if record.is_won:
        said["is_won"] = record.is_won
    if record.responsible is not None:
        said["responsible"] = record.responsible
    if record.contact_ids:
        said["contact_ids"] = record.contact_ids
    if record.company_id is not None:
        said["company_id"] = record.company_id
    if record.price is not None:
        said["price"] = record.price
    _add_marks(said, record)
    if record.closed_at is not None:
        said["closed_at"] = record.closed_at
    return said


def _task(record: Task) -> dict[str, Any]:
    said: dict[str, Any] = {"id": record.id}
    if record.text:
        said["text"] = record.text
    if record.type_id:
        said["type_id"] = record.type_id
    if record.responsible is not None:
        said["responsible"] = record.responsible
    if record.due_at is not None:
        said["due_at"] = record.due_at
    if not record.is_open:
        said["is_open"] = record.is_open
    if record.on is not None:
        said["on"] = record.on
    _add_times(said, record)
    return said


_SAID: Final[Mapping[type, Callable[[Any], dict[str, Any]]]] = {
    Contact: _contact,
    Company: _company,
    Deal: _deal,
    Task: _task,
}


def _plain(value: object) -> object:
    """What msgspec wants to be told of: texts and mappings that are not Python's own."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


#: orjson asks Python for the offset of each moment: this is seven times as quick
_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def dump_record(record: Record) -> bytes:
    """``record`` as JSON without what is at its default: half the size, twice the speed."""
    return _encode(_SAID[type(record)](record))


def load_record(kind: int, body: bytes) -> Record:
    """The record that `dump_record` wrote."""
    found: Record = _CODECS[kind].load(body)
    return found
