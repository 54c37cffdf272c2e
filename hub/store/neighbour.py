"""Clients who share a key without being one person: their interactions run one after the other too (DESIGN 2.2, X12).

A family's number, an office exchange, an e-mail that under AND proves nothing alone: two such clients have lanes of
their own, but in the CRM they may meet, in its duplicate control say. So while one of them is being written, the
other is not decided.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from hub.core.interaction import Identity, InteractionId
from hub.store import locks
from hub.store.clients import JoinRules
from hub.store.dialect import insert_or
from hub.store.prepared import Prepared
from hub.store.schema import neighbour_key, work
from hub.store.work import Work, WorkState

__all__ = ["is_held", "note_keys", "shared_keys"]


def shared_keys(identity: Identity, rules: JoinRules) -> list[str]:
    """The keys of ``identity`` that do not tell by themselves who the client is; none under the usual rules."""
    if rules.join == "any":
        return [f"phone {phone}" for phone in identity.phones if phone in rules.shared]
    found = [("phone", str(phone)) for phone in identity.phones]
    found += [("email", email.strip().lower()) for email in identity.emails]
    found += [(f"field:{name}", value.strip()) for name, value in identity.fields.items()]
    return [f"{kind} {value}" for kind, value in dict.fromkeys(found) if kind in rules.kinds and value]


def note_keys(
    conn: Connection, project: str, interaction_id: InteractionId, identity: Identity, rules: JoinRules
) -> None:
    """Remember what the interaction may share with those of other clients."""
    for key in shared_keys(identity, rules):
        values = {"interaction_id": interaction_id, "key": key, "project": project}
        conn.execute(insert_or(conn, neighbour_key).values(values).on_conflict_do_nothing())


_THEIRS = neighbour_key.alias("theirs")
_HELD = Prepared(
    select(work.c.interaction_id)
    .join(_THEIRS, _THEIRS.c.interaction_id == work.c.interaction_id)
    .join(neighbour_key, (neighbour_key.c.project == _THEIRS.c.project) & (neighbour_key.c.key == _THEIRS.c.key))
    .where(
        neighbour_key.c.interaction_id == bindparam("of_interaction"),
        work.c.connection == bindparam("of_connection"),
        work.c.client_id != bindparam("of_client"),
        work.c.state == WorkState.WRITING.value,
    )
    .limit(1)
)


_KEYS = Prepared(
    select(neighbour_key.c.key)
    .where(neighbour_key.c.interaction_id == bindparam("of_interaction"))
    .order_by(neighbour_key.c.key)
)


def is_held(conn: Connection, found: Work, *, to_begin: bool = False) -> bool:
    """True while work of another client who shares a key is being written to the same CRM.

    ``to_begin``: otherwise ``found`` begins to be written in this transaction, and nobody who shares a key does
    so at the same moment.
    """
    shared = _KEYS.rows(conn, of_interaction=found.interaction_id)
    if not shared:
        # the usual case: an engine would find it out only after all that is being written
        return False
    if to_begin and locks.is_shared(conn):
        for row in shared:
            locks.hold(conn, "neighbours", found.project, found.connection, row[0])
    row = _HELD.first(
        conn, of_interaction=found.interaction_id, of_connection=found.connection, of_client=found.client_id
    )
    return row is not None
