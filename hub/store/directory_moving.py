"""Taking the CRMs' records along when a hub moves to PostgreSQL (`hub.store.moving`, H6, H9).

They could be read from the CRMs anew; for a large account that takes a day of its limit. They go before the truth,
whose one transaction ends the move: a move that was killed is simply begun again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import sqlalchemy

from hub.store import cluster, directory_stream, moving
from hub.store.directory import AS_OF, Row
from hub.store.directory_file import connect
from hub.store.engine import Store

__all__ = ["move"]

_PAGE = 1000


def move(path: Path, target: Store) -> int:
    """Put the records of the directory at ``path`` where the processes on ``target`` find them; how many.

    On SQLite the hub goes on with the file itself, so that there is nothing to do. Raises ConfigurationError if the
    target holds a hub.
    """
    if target.is_sqlite or not path.exists():
        return 0
    target.write_now(_clear)
    count = 0
    with closing(connect(path, is_reader=True)) as driver:
        for account, project, connection, as_of in driver.execute(
            "SELECT id, project, connection, as_of FROM account"
        ).fetchall():
            put = partial(directory_stream.put, project=project, connection=connection)
            for rows in _pages(driver, account):
                target.write_now(partial(put, rows=rows))
                count += len(rows)
            marks = dict(driver.execute("SELECT name, value FROM mark WHERE account = ?", (account,)).fetchall())
            if as_of is not None:
                marks[AS_OF] = str(as_of)
            # last: they say that the account is complete
            target.write_now(partial(put, rows=(), marks=marks))
    return count


def _clear(conn: sqlalchemy.Connection) -> None:
    moving.require_empty(conn)
    cluster.prepare(conn)
    # what a move left that did not come to its end
    conn.exec_driver_sql("DELETE FROM hub_directory")


def _pages(driver: Connection, account: int) -> Iterator[list[Row]]:
    after = (0, "")
    while True:
        rows: list[Row] = driver.execute(
            "SELECT kind, id, version, seen, body FROM record WHERE account = ? AND (kind, id) > (?, ?)"
            " ORDER BY kind, id LIMIT ?",
            (account, *after, _PAGE),
        ).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][:2]
