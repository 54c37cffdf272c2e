"""Whose turn it is, per project: changes only from the state that the decision saw (DESIGN 1)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, select, update

from hub.store import codec
from hub.store.dialect import insert_or
from hub.store.prepared import Prepared
from hub.store.schema import rota

__all__ = ["Turns", "advance", "load"]

#: the state of turns by group, as `hub.core.plan.Plan.turns` has it
Turns = Mapping[str, Mapping[str, str]]


_LOAD = Prepared(select(rota.c.body, rota.c.version).where(rota.c.project == bindparam("of_project")))


def load(conn: Connection, project: str) -> tuple[Turns, int]:
    """The turns and their version; ({}, 0) before the first."""
    row = _LOAD.first(conn, of_project=project)
    return ({}, 0) if row is None else (codec.load_json(row[0]), row[1])


def advance(conn: Connection, project: str, turns: Turns, seen: int) -> bool:
    """Store ``turns`` over the version ``seen``; False if somebody advanced since: decide again."""
    body = codec.dump_json(turns)
    if seen == 0:
        statement = insert_or(conn, rota).values(project=project, version=1, body=body).on_conflict_do_nothing()
        # without being asked Core forgets how many an insert was
        return conn.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1
    changed = conn.execute(
        update(rota).where(rota.c.project == project, rota.c.version == seen).values(version=seen + 1, body=body)
    )
    return bool(changed.rowcount)
