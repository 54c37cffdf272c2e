"""What is asked when steps of many interactions end together, each in one statement."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from hub.core.interaction import ClientId, InteractionId
from hub.store.prepared import Prepared
from hub.store.schema import step, work
from hub.store.work import COLUMNS, JOINED, Work, WorkState, read_work

__all__ = ["clients_with_open", "states_of", "works_of"]

_STATES_OF = Prepared(
    select(step.c.interaction_id, step.c.state).where(
        step.c.interaction_id.in_(bindparam("ids", expanding=True)), step.c.connection == bindparam("of_connection")
    )
)
_WORKS_OF = Prepared(
    select(*COLUMNS)
    .select_from(JOINED)
    .where(work.c.interaction_id.in_(bindparam("ids", expanding=True)), work.c.connection == bindparam("of_connection"))
    .order_by(work.c.sequence)
)
_CLIENTS_WITH_OPEN = Prepared(
    select(work.c.client_id)
    .where(
        work.c.client_id.in_(bindparam("ids", expanding=True)),
        work.c.connection == bindparam("of_connection"),
        work.c.state == WorkState.OPEN.value,
    )
    .distinct()
)


def states_of(
    conn: Connection, interactions: Collection[InteractionId], connection: str
) -> dict[InteractionId, dict[str, int]]:
    """How many steps of each of ``interactions`` stand in which state."""
    found: dict[InteractionId, dict[str, int]] = {}
    for interaction_id, state in _STATES_OF.rows(conn, ids=sorted(interactions), of_connection=connection):
        counts = found.setdefault(InteractionId(interaction_id), {})
        counts[state] = counts.get(state, 0) + 1
    return found


def works_of(conn: Connection, interactions: Collection[InteractionId], connection: str) -> list[Work]:
    """The works of ``interactions`` in one CRM, in the order in which they came; those that exist."""
    return [read_work(row) for row in _WORKS_OF.rows(conn, ids=sorted(interactions), of_connection=connection)]


def clients_with_open(conn: Connection, clients: Collection[ClientId], connection: str) -> list[ClientId]:
    """Those of ``clients`` in whose lane something waits for its decision."""
    rows = _CLIENTS_WITH_OPEN.rows(conn, ids=sorted(clients), of_connection=connection)
    return [ClientId(row[0]) for row in rows]
