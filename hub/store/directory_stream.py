"""The directory's records in PostgreSQL, from which every process keeps a copy of its own (H6, DESIGN 3).

Who owns an account folds what its CRM tells into its own file and puts the outcome here; each row bears the number of
its last change. A copy asks for what changed since the number that it has; a new machine asks from 0 and gets the
whole. Numbers of one account are given and committed in one order, since one connection at a time writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from hub.store.directory import Row
from hub.store.prepared import Prepared

__all__ = ["Changed", "changes_after", "heads", "put"]

#: the kind under which an account's marks stand among its records
_MARK = 0

_PUT = Prepared(
    text(
        "INSERT INTO hub_directory (project, connection, kind, id, version, seen, body, change)"
        " VALUES (:project, :connection, :kind, :id, :version, :seen, :body, nextval('hub_directory_change'))"
        " ON CONFLICT (project, connection, kind, id) DO UPDATE"
        " SET version = excluded.version, seen = excluded.seen, body = excluded.body, change = excluded.change"
        " WHERE (hub_directory.version, hub_directory.seen) <= (excluded.version, excluded.seen)"
    )
)
_AFTER = Prepared(
    text(
        "SELECT kind, id, version, seen, body, change FROM hub_directory"
        " WHERE project = :project AND connection = :connection AND change > :after ORDER BY change LIMIT :most"
    )
)
# one step down the index for each account, however many records it has
_HEADS = text(
    "SELECT account.project, account.name, (SELECT max(change) FROM hub_directory AS told"
    " WHERE told.project = account.project AND told.connection = account.name)"
    " FROM unnest(CAST(:projects AS text[]), CAST(:names AS text[])) AS account (project, name)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What changed of one account; ``upto`` is the number to ask from the next time."""

    rows: Sequence[Row]
    marks: Mapping[str, str]
    upto: int


def put(
    conn: Connection, project: str, connection: str, rows: Sequence[Row], marks: Mapping[str, str] | None = None
) -> None:
    """Store the account's records as its owner has them, and its marks after them."""
    account = {"project": project, "connection": connection}
    values = [
        {**account, "kind": kind, "id": id, "version": version, "seen": seen, "body": body}
        for kind, id, version, seen, body in rows
    ]
    values += [
        {**account, "kind": _MARK, "id": name, "version": 0, "seen": 0, "body": value.encode()}
        for name, value in (marks or {}).items()
    ]
    if values:
        _PUT.change_many(conn, values)


def changes_after(conn: Connection, project: str, connection: str, after: int, most: int = 500) -> Changed:
    """The oldest changes beyond the number ``after``, in their order."""
    found = _AFTER.rows(conn, project=project, connection=connection, after=after, most=most)
    return Changed(
        rows=[(kind, id, version, seen, body) for kind, id, version, seen, body, _ in found if kind != _MARK],
        marks={id: body.decode() for kind, id, _, _, body, _ in found if kind == _MARK},
        upto=found[-1][5] if found else after,
    )


def heads(conn: Connection, accounts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The number of the last change of each of ``accounts`` of which anything was told."""
    asked = {"projects": [project for project, _ in accounts], "names": [name for _, name in accounts]}
    found = conn.execute(_HEADS, asked)
    return {(project, connection): change for project, connection, change in found if change is not None}
