"""The local directory: who has this number, whose client it is, what is open (H6, DESIGN 5).

It answers forwarding and decisions without asking the CRM. It is filled by imports (in a child process), feeds,
webhooks and our own writes, in any order, and can be rebuilt at any time.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

from hub.core.forwarding import Holder
from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.store import codec
from hub.store.directory_file import KINDS, Record, connect, load_record, open_or_rebuild
from hub.store.directory_fold import fold_records, fold_told, keys_asked, keys_of, records_of
from hub.store.directory_holders import Whose, find_holders
from hub.store.holdings import Holdings
from hub.store.instant import microseconds, moment
from hub.store.turns import Shares
from hub.store.turns_pool import TurnsPool

__all__ = ["AS_OF", "Directory", "Row"]

#: records per transaction: an import holds the file for milliseconds, so that our own writes get their turn
SLICE = 250
#: seconds for which `Directory.holders` believes the age of a feed
FEED_AGE_KEPT = 0.5

#: stands among the marks for the age of the feed
AS_OF = "@as_of"
#: kind, id, when the CRM changed it, when that was read, what it was (None: deleted)
Row = tuple[int, str, int, int, bytes | None]

_KIND_OF = {number: kind for kind, number in KINDS.items()}
_CONTACT, _COMPANY = KINDS[RecordKind.CONTACT], KINDS[RecordKind.COMPANY]
_DEAL, _TASK = KINDS[RecordKind.DEAL], KINDS[RecordKind.TASK]

# All that hangs on one key, in one statement: consistent, and ten microseconds less for each one saved. The first row
# is the age of the feed. What is only pointed to has neither seen nor body, what was deleted has no body.
_OF_KEY = """
SELECT 0, '', as_of, NULL FROM account WHERE id = ?1
UNION ALL
SELECT holder.kind, holder.id, record.seen, record.body
FROM holder CROSS JOIN record ON record.account = ?1 AND record.kind = holder.kind AND record.id = holder.id
WHERE holder.account = ?1 AND holder.key_kind = ?2 AND holder.key = ?3
UNION ALL
SELECT link.kind, link.id, record.seen, record.body
FROM holder
CROSS JOIN link ON link.account = ?1 AND link.on_kind = holder.kind AND link.on_id = holder.id
LEFT JOIN record ON record.account = ?1 AND record.kind = link.kind AND record.id = link.id
WHERE holder.account = ?1 AND holder.key_kind = ?2 AND holder.key = ?3
UNION ALL
SELECT below.kind, below.id, record.seen, record.body
FROM holder
CROSS JOIN link ON link.account = ?1 AND link.on_kind = holder.kind AND link.on_id = holder.id
CROSS JOIN link AS below ON below.account = ?1 AND below.on_kind = link.kind AND below.on_id = link.id
LEFT JOIN record ON record.account = ?1 AND record.kind = below.kind AND record.id = below.id
WHERE holder.account = ?1 AND holder.key_kind = ?2 AND holder.key = ?3
"""

# the same for one record and what hangs on it
_OF_RECORD = """
SELECT 0, '', as_of, NULL FROM account WHERE id = ?1
UNION ALL
SELECT kind, id, seen, body FROM record WHERE account = ?1 AND kind = ?2 AND id = ?3
UNION ALL
SELECT link.kind, link.id, record.seen, record.body
FROM link
LEFT JOIN record ON record.account = ?1 AND record.kind = link.kind AND record.id = link.id
WHERE link.account = ?1 AND link.on_kind = ?2 AND link.on_id = ?3
UNION ALL
SELECT below.kind, below.id, record.seen, record.body
FROM link
CROSS JOIN link AS below ON below.account = ?1 AND below.on_kind = link.kind AND below.on_id = link.id
LEFT JOIN record ON record.account = ?1 AND record.kind = below.kind AND record.id = below.id
WHERE link.account = ?1 AND link.on_kind = ?2 AND link.on_id = ?3
"""


class Directory:
    """The directory of all connections, in one file.

    Reading takes microseconds and may be done on the event loop. Writing may wait for another process (an import)
    that writes, so the loop uses `fold_async`.
    """

    def __init__(self, path: Path, *, shares: Shares | None = None) -> None:
        self._path = path
        self._writer: sqlite3.Connection | None = None
        self._write_lock = threading.Lock()
        self._shares = shares
        self._pool: TurnsPool | None = None
        self._local = threading.local()
        #: each thread's connection, and what it holds while it reads there
        self._readers: list[tuple[sqlite3.Connection, threading.Lock]] = []
        self._accounts: dict[tuple[str, str], int] = {}
        self._feed_ages: dict[int, tuple[float, int | None]] = {}
        #: how often this process has put something in; an import's child is not counted
        self.writes = 0
        #: called in the writing thread with (project, connection, kinds and ids, marks) of what was put in
        self.told: Callable[[str, str, Sequence[tuple[int, str]], Mapping[str, str]], None] | None = None

    # --- opening and closing ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file, or make it; one that is damaged is made anew."""
        self._writer = open_or_rebuild(self._path)
        self._pool = TurnsPool(self._shares, lambda fn: fn(None), threads=1)

    def finish(self) -> None:
        """Put in what `fold_async` was given; it takes nothing more."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def close(self) -> None:
        """Finish what was begun and release everything, not under a thread's feet; may be called twice."""
        self.finish()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
            self._writer = None
        for driver, guard in self._readers:
            with guard:
                driver.close()
        self._readers.clear()
        self._local = threading.local()
        self._accounts.clear()
        self._feed_ages.clear()

    def __enter__(self) -> Directory:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ------------------------------------------------------------------------------------------------

    def fold(
        self,
        project: str,
        connection: str,
        changes: Changes,
        seen_at: datetime,
        *,
        told_at: datetime | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        """Take in ``changes``, read from the CRM (or done in it) at ``seen_at``; of each record the newest stays.

        ``seen_at`` is the moment at which the request *began*, ``told_at`` the same by the CRM's clock, if that is
        another. ``marks`` are stored together with the last of it (`mark`). Visible to every reader, of every process.
        """
        records, deleted, touched = records_of(changes), changes.deleted, changes.touched
        self.writes += bool(records or deleted)
        with self._writing() as driver:
            account = self._account_to_write(driver, project, connection)
            key_fields = self._key_fields(driver, account)
            for start in range(0, max(len(records), 1), SLICE):
                is_last = start + SLICE >= len(records)
                driver.execute("BEGIN IMMEDIATE")
                part, rest = records[start : start + SLICE], (deleted, touched) if is_last else ((), ())
                fold_records(
                    driver, account, part, *rest, seen_at=seen_at, told_at=told_at or seen_at, key_fields=key_fields
                )
                if is_last:
                    if changes.as_of is not None:
                        driver.execute(
                            "UPDATE account SET as_of = max(coalesce(as_of, ?1), ?1) WHERE id = ?2",
                            (microseconds(changes.as_of), account),
                        )
                    self._set_marks(driver, account, marks or {})
                driver.execute("COMMIT")
        if self.told is not None:
            refs = [(KINDS[ref.kind], ref.id) for ref in (*(record.ref for record in records), *deleted)]
            as_of = {} if changes.as_of is None else {AS_OF: str(microseconds(changes.as_of))}
            self.told(project, connection, refs, {**(marks or {}), **as_of})

    async def fold_async(
        self,
        project: str,
        connection: str,
        changes: Changes,
        seen_at: datetime,
        *,
        told_at: datetime | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        """`fold` in the directory's own thread, in the order of the project's calls."""
        assert self._pool is not None
        await self._pool.run(
            project, lambda _: self.fold(project, connection, changes, seen_at, told_at=told_at, marks=marks)
        )

    def set_mark(self, project: str, connection: str, name: str, value: str) -> None:
        """Remember ``value`` with the directory's own content: it is gone when the file is."""
        with self._writing() as driver:
            account = self._account_to_write(driver, project, connection)
            driver.execute("BEGIN IMMEDIATE")
            self._set_marks(driver, account, {name: value})
            driver.execute("COMMIT")
        if self.told is not None:
            self.told(project, connection, (), {name: value})

    def rows(self, project: str, connection: str, refs: Sequence[tuple[int, str]]) -> list[Row]:
        """What lies here of ``refs`` (kinds as numbers, ids), for another process's copy."""
        with self._reading() as driver:
            account = self._account(driver, project, connection)
            statement = "SELECT kind, id, version, seen, body FROM record WHERE account = ? AND kind = ? AND id = ?"
            found = [driver.execute(statement, (account, *ref)).fetchone() for ref in refs]
        return [row for row in found if row is not None]

    def rows_after(self, project: str, connection: str, after: tuple[int, str], limit: int) -> list[Row]:
        """The next rows in the order of kinds and ids; ``(0, "")`` comes before the first."""
        with self._reading() as driver:
            found: list[Row] = driver.execute(
                "SELECT kind, id, version, seen, body FROM record WHERE account = ? AND (kind, id) > (?, ?)"
                " ORDER BY kind, id LIMIT ?",
                (self._account(driver, project, connection), *after, limit),
            ).fetchall()
        return found

    def take_over(self, project: str, connection: str, rows: Sequence[Row], marks: Mapping[str, str]) -> None:
        """Put in what another process had (`rows`), with its marks, in one transaction."""
        told = [(*row, None if row[4] is None else load_record(row[0], row[4])) for row in rows]
        with self._writing() as driver:
            account = self._account_to_write(driver, project, connection)
            driver.execute("BEGIN IMMEDIATE")
            fold_told(driver, account, told, self._key_fields(driver, account))
            if as_of := marks.get(AS_OF):
                driver.execute("UPDATE account SET as_of = ? WHERE id = ?", (int(as_of), account))
            self._set_marks(driver, account, {name: value for name, value in marks.items() if name != AS_OF})
            driver.execute("COMMIT")

    def set_key_fields(self, project: str, connection: str, fields: Iterable[str]) -> None:
        """By which custom fields (the CRM's ids) records are found besides phones and e-mails (J4).

        Goes through all records of the connection if that is a change: for set-up, not for the loop.
        """
        wanted = sorted(set(fields))
        with self._writing() as driver:
            account = self._account_to_write(driver, project, connection)
            if self._key_fields(driver, account) == wanted:
                return
            driver.execute("BEGIN IMMEDIATE")
            driver.execute("UPDATE account SET key_fields = ? WHERE id = ?", (codec.dump_json(wanted), account))
            driver.execute(
                "DELETE FROM holder WHERE account = ? AND key_kind >= 'field:' AND key_kind < 'field;'", (account,)
            )
            rows = driver.execute(
                "SELECT kind, id, body FROM record WHERE account = ? AND kind IN (?, ?) AND body IS NOT NULL",
                (account, _CONTACT, _COMPANY),
            )
            for kind, id, body in rows.fetchall() if wanted else ():
                for key in keys_of(load_record(kind, body), wanted):
                    driver.execute(
                        "INSERT OR IGNORE INTO holder (account, key_kind, key, kind, id) VALUES (?, ?, ?, ?, ?)",
                        (account, *key, kind, id),
                    )
            driver.execute("COMMIT")

    def forget(self, project: str, connection: str) -> None:
        """Drop everything of one connection, before it is imported anew or because it is gone."""
        with self._writing() as driver:
            account = self._account_to_write(driver, project, connection)
            driver.execute("BEGIN IMMEDIATE")
            for table in ("record", "holder", "link", "touched", "mark"):
                driver.execute(f"DELETE FROM {table} WHERE account = ?", (account,))  # noqa: S608 — fixed names
            driver.execute("UPDATE account SET as_of = NULL WHERE id = ?", (account,))
            driver.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            if self._writer is None:
                raise RuntimeError("the directory is not open")
            try:
                yield self._writer
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @staticmethod
    def _set_marks(driver: sqlite3.Connection, account: int, marks: Mapping[str, str]) -> None:
        driver.executemany(
            "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", [(account, name, value) for name, value in marks.items()]
        )

    @staticmethod
    def _key_fields(driver: sqlite3.Connection, account: int) -> list[str]:
        found = driver.execute("SELECT key_fields FROM account WHERE id = ?", (account,)).fetchone()
        return list(codec.load_json(found[0]))

    def _account_to_write(self, driver: sqlite3.Connection, project: str, connection: str) -> int:
        driver.execute("INSERT OR IGNORE INTO account (project, connection) VALUES (?, ?)", (project, connection))
        return cast("int", self._account(driver, project, connection))

    # --- reading ------------------------------------------------------------------------------------------------

    def lookup(
        self,
        project: str,
        connection: str,
        who: Identity | Phone,
        *,
        field_ids: Mapping[str, Sequence[str]] | None = None,
        records: Sequence[RecordRef] = (),
    ) -> Holdings:
        """Everything of the client: holders of any of the keys, their deals, the open tasks on those.

        ``field_ids`` names the CRM's custom fields for a field of the identity; without it that field is not
        looked for. ``records`` are known to be the client's, whatever keys they have: a messenger's client may have
        none that the CRM could hold.
        """
        keys = [("phone", who)] if isinstance(who, str) else keys_asked(who, field_ids or {})
        driver = self._own()[0]
        account = self._account(driver, project, connection)
        if account is None:
            return Holdings()
        if len(keys) == 1 and not records:
            return _collect(driver.execute(_OF_KEY, (account, *keys[0])))
        with self._reading():
            # no key at all still tells how old the feed is
            rows = [driver.execute(_OF_KEY, (account, *key)).fetchall() for key in keys or [("", "")]]
            rows += [driver.execute(_OF_RECORD, (account, KINDS[ref.kind], ref.id)).fetchall() for ref in records]
        return _collect(row for part in rows for row in part)

    def holders(
        self, project: str, connection: str, phone: Phone, whose: Whose
    ) -> tuple[tuple[Holder, ...], int | None]:
        """What a forwarding answer needs of the client, many times faster than `lookup`; see `find_holders`.

        With it comes when the oldest of this, or its absence, was known to be so (microseconds since 1970); the age
        of the feed is read once in `FEED_AGE_KEPT`, so that it may seem that much older than it is.
        """
        driver = self._own()[0]
        account = self._account(driver, project, connection)
        if account is None:
            return (), None
        holders, oldest = find_holders(driver, account, phone, whose)
        as_of = self._feed_age(driver, account)
        # a feed that is complete up to a moment vouches for everything that was read before it
        if oldest is None or (as_of is not None and as_of > oldest):
            return holders, as_of
        return holders, oldest

    def _feed_age(self, driver: sqlite3.Connection, account: int) -> int | None:
        now = time.monotonic()
        known = self._feed_ages.get(account)
        if known is not None and known[0] > now:
            return known[1]
        row = driver.execute("SELECT as_of FROM account WHERE id = ?", (account,)).fetchone()
        self._feed_ages[account] = known = (now + FEED_AGE_KEPT, None if row is None else row[0])
        return known[1]

    def get(self, project: str, connection: str, ref: RecordRef) -> Record | None:
        """One record; None if the directory does not have it."""
        with self._reading() as driver:
            row = driver.execute(
                "SELECT body FROM record WHERE account = ? AND kind = ? AND id = ?",
                (self._account(driver, project, connection), KINDS[ref.kind], ref.id),
            ).fetchone()
        return None if row is None or row[0] is None else load_record(KINDS[ref.kind], row[0])

    def count_open_deals(self, project: str, connection: str) -> Mapping[EmployeeId, int]:
        """How many open deals each responsible has, as the sink read them; reads every deal there is."""
        with self._reading() as driver:
            rows = driver.execute(
                # what is at its default is not written: a deal is open unless it says otherwise
                "SELECT json_extract(said, '$.responsible'), count(*) FROM"
                " (SELECT CAST(body AS TEXT) AS said FROM record WHERE account = ? AND kind = ? AND body IS NOT NULL)"
                " WHERE coalesce(json_extract(said, '$.is_open'), 1) GROUP BY 1",
                (self._account(driver, project, connection), _DEAL),
            ).fetchall()
        return {EmployeeId(responsible): count for responsible, count in rows if responsible}

    def read_since(
        self, project: str, connection: str, kind: RecordKind, *, since: int, after: str, limit: int
    ) -> list[tuple[str, int, Record | None]]:
        """Id, moment of reading (microseconds since 1970) and record of what was read at ``since`` or later, by id.

        A deleted record is None. Goes through the ids of all records of the kind: in a thread, not on the loop.
        """
        with self._reading() as driver:
            rows = driver.execute(
                "SELECT id, seen, body FROM record WHERE account = ? AND kind = ? AND id > ? AND seen >= ?"
                " ORDER BY id LIMIT ?",
                (self._account(driver, project, connection), KINDS[kind], after, since, limit),
            ).fetchall()
        return [(id, seen, None if body is None else load_record(KINDS[kind], body)) for id, seen, body in rows]

    def mark(self, project: str, connection: str, name: str) -> str:
        """What `set_mark` or `fold` remembered, "" if nothing."""
        with self._reading() as driver:
            row = driver.execute(
                "SELECT value FROM mark WHERE account = ? AND name = ?",
                (self._account(driver, project, connection), name),
            ).fetchone()
        return "" if row is None else str(row[0])

    def as_of(self, project: str, connection: str) -> datetime | None:
        """Up to when the connection's feed is complete; None if it never was."""
        with self._reading() as driver:
            row = driver.execute(
                "SELECT as_of FROM account WHERE project = ? AND connection = ?", (project, connection)
            ).fetchone()
        return None if row is None or row[0] is None else moment(row[0])

    def touched(self, project: str, connection: str, limit: int = 250) -> Sequence[RecordRef]:
        """Records that changed, nobody knows how: read them and fold the answer; the longest waiting first."""
        with self._reading() as driver:
            rows = driver.execute(
                "SELECT kind, id FROM touched WHERE account = ? ORDER BY at, kind, id LIMIT ?",
                (self._account(driver, project, connection), limit),
            ).fetchall()
        return [RecordRef(kind=_KIND_OF[kind], id=id) for kind, id in rows]

    def counts(self, project: str, connection: str) -> Mapping[RecordKind, int]:
        """How many records of each kind there are; reads them all, so not for the loop."""
        with self._reading() as driver:
            rows = driver.execute(
                "SELECT kind, count(*) FROM record WHERE account = ? AND body IS NOT NULL GROUP BY kind",
                (self._account(driver, project, connection),),
            ).fetchall()
        return {_KIND_OF[kind]: count for kind, count in rows}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent state, on a connection of the calling thread's own."""
        driver, guard = self._own()
        with guard:
            driver.execute("BEGIN")
            try:
                yield driver
            finally:
                driver.execute("ROLLBACK")

    def _own(self) -> tuple[sqlite3.Connection, threading.Lock]:
        own: tuple[sqlite3.Connection, threading.Lock] | None = getattr(self._local, "own", None)
        if own is None:
            own = (connect(self._path, is_reader=True), threading.Lock())
            self._readers.append(own)
            if self._writer is None:
                # not open, or no longer: `close` may not have seen this one
                own[0].close()
                raise RuntimeError("the directory is not open")
            self._local.own = own
        return own

    def _account(self, driver: sqlite3.Connection, project: str, connection: str) -> int | None:
        known = self._accounts.get((project, connection))
        if known is None:
            row = driver.execute(
                "SELECT id FROM account WHERE project = ? AND connection = ?", (project, connection)
            ).fetchone()
            if row is None:
                return None
            known = self._accounts[project, connection] = int(row[0])
        return known


def _collect(rows: Iterable[tuple[int, str, int | None, bytes | None]]) -> Holdings:
    """Each record once, in the order in which it was found."""
    by_kind: dict[int, dict[str, Record]] = {kind: {} for kind in (_CONTACT, _COMPANY, _DEAL, _TASK)}
    missing: dict[tuple[int, str], None] = {}
    as_of = oldest = None
    for kind, id, seen, body in rows:
        if kind == 0:
            as_of = seen
        elif body is None:
            if seen is None:
                missing[kind, id] = None
        elif id not in by_kind[kind]:
            by_kind[kind][id] = load_record(kind, body)
            assert seen is not None
            if oldest is None or seen < oldest:
                oldest = seen
    # a feed that is complete up to a moment vouches for everything that was read before it
    known = as_of if oldest is None or (as_of is not None and as_of > oldest) else oldest
    return Holdings(
        contacts=cast("tuple[Contact, ...]", tuple(by_kind[_CONTACT].values())),
        companies=cast("tuple[Company, ...]", tuple(by_kind[_COMPANY].values())),
        deals=cast("tuple[Deal, ...]", tuple(by_kind[_DEAL].values())),
        tasks=cast("tuple[Task, ...]", tuple(by_kind[_TASK].values())),
        seen_at=None if known is None else moment(known),
        missing=tuple(RecordRef(kind=_KIND_OF[kind], id=id) for kind, id in missing),
    )
