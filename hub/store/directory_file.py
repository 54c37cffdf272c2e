"""The file ``directory.db``: its tables, how it is opened, how records lie in it.

It holds nothing that could not be read from the CRMs again, so it is written with ``synchronous = NORMAL``, and a
file of another layout is thrown away. It is sqlite3 without Core: a look-up has some ten microseconds (DESIGN 11).
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

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


def _writer(type_: type[Record]) -> Callable[[Any], bytes]:
    """How to write one kind of record: what is at its default is left out, which halves the size and doubles the speed.

    Written out line by line, as the standard library makes a dataclass, since an import asks for it a million times.
    """
    names: dict[str, Any] = {"dump_json": codec.dump_json}
    lines = []
    for item in dataclasses.fields(type_):
        default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        value, keep = f"record.{item.name}", f"found[{item.name!r}] = value"
        if default is dataclasses.MISSING:
            test = "True"
        elif default is None:
            test = "value is not None"
        else:
            # an empty text, tuple or mapping, or a truth
            test = "not value" if default else "value"
        lines.append(f"    value = {value}\n    if {test}: {keep}\n")
    exec(f"def write(record):\n    found = {{}}\n{''.join(lines)}    return dump_json(found)", names)  # noqa: S102 - ours
    written: Callable[[Any], bytes] = names["write"]
    return written


_WRITERS: Final[Mapping[type, Callable[[Any], bytes]]] = {
    type_: _writer(type_) for type_ in (Contact, Company, Deal, Task)
}


def dump_record(record: Record) -> bytes:
    """``record`` as JSON without what is at its default."""
    return _WRITERS[type(record)](record)


def load_record(kind: int, body: bytes) -> Record:
    """The record that `dump_record` wrote."""
    found: Record = _CODECS[kind].load(body)
    return found
