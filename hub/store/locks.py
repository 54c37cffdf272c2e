"""Locks by name within a transaction, for what several processes must not do at once on PostgreSQL (H9).

On SQLite there is one writer, and nothing to hold. The order in which a transaction takes them: first what arrives in
a project (`hold_arrivals`), then works of interactions in the order of their ids, then everything else; two
that meet all the same are told apart by the server, and one of them is run again (`hub.store.postgres.Postgres.write`).
"""

from __future__ import annotations

import hashlib

from sqlalchemy import BigInteger, Connection, Text, bindparam, cast, func, select
from sqlalchemy.exc import DBAPIError

from hub.store.prepared import Prepared

__all__ = ["hold", "hold_arrivals", "hold_setup", "is_conflict", "is_shared", "key_of"]

#: what PostgreSQL calls a deadlock and a conflict of two transactions: one of both was undone whole; and a statement
#: that is prepared no more, or was for a table that has been changed since
_CONFLICTS = frozenset({"40P01", "40001", "26000", "0A000"})
#: and a lock that was not had within ``lock_timeout``
_NOT_HAD = "55P03"
_HOLD = Prepared(select(cast(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)), Text).label("held")))


def is_shared(conn: Connection) -> bool:
    """Whether other transactions may write while this one does."""
    return conn.dialect.name == "postgresql"


def hold(conn: Connection, *words: str) -> None:
    """Be the only one who holds ``words`` until the transaction ends; waits for whoever does."""
    if is_shared(conn):
        _HOLD.rows(conn, key=key_of("transaction", *words))


def hold_arrivals(conn: Connection, project: str) -> None:
    """Nobody else finds, makes, joins or parts clients of ``project``, or stores what they said.

    Whoever reads what is known of an enquiry, in order to store what follows from it, holds it from there on.
    """
    hold(conn, "arrivals", project)


def hold_setup(conn: Connection) -> None:
    """Nobody else makes projects, channels, connections or users: a name that is free stays so until it is taken."""
    hold(conn, "setup")


def key_of(*words: str) -> int:
    """The number of the advisory lock that stands for ``words``: 64 bits, so that no two of an installation meet."""
    digest = hashlib.sha256("\n".join(("hub", *words)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def is_conflict(error: BaseException, *, is_hasty: bool = False) -> bool:
    """Whether a transaction was undone only because of another one, so that it may be run again.

    ``is_hasty``: of a connection that waits for a lock for a moment only, and then lets others go first.
    """
    code = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return code in _CONFLICTS or (is_hasty and code == _NOT_HAD)
