"""Interactions as they are known now, and the fragments of which they were made (A9, X8)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

from hub.core.chat import ChatFragment
from hub.core.interaction import ClientId, Interaction, InteractionId
from hub.core.merge import CallFragment
from hub.store import codec
from hub.store.prepared import Prepared
from hub.store.schema import client_key, fragment, interaction, work

__all__ = [
    "JournalFilter",
    "Stored",
    "add_fragment",
    "count_of_client",
    "find",
    "find_external",
    "first_of_client",
    "first_received",
    "fragments",
    "journal",
    "list_of_client",
    "put",
    "set_decide_at",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An interaction and what the hub knows besides."""

    interaction: Interaction
    #: the order of arrival, over all projects
    sequence: int
    client_id: ClientId
    #: grows whenever the interaction itself changes
    revision: int
    #: when it may be decided; None while the channel has not declared it final
    decide_at: datetime | None
    received_at: datetime
    #: by the last `put`: whether it is new, and whether it is other than before
    is_new: bool = False
    is_changed: bool = False

    @property
    def id(self) -> InteractionId:
        return self.interaction.id


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFilter:
    """Which interactions a reader of the journal wants; what is empty does not filter."""

    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    client_id: ClientId | None = None
    phone: str = ""
    since: datetime | None = None
    until: datetime | None = None
    #: states of work in any CRM: ``attention`` …
    states: tuple[str, ...] = ()


_COLUMNS = (
    interaction.c.body,
    interaction.c.sequence,
    interaction.c.client_id,
    interaction.c.revision,
    interaction.c.decide_at,
    interaction.c.received_at,
)


def _stored(row: Sequence[Any]) -> Stored:
    body, sequence, client_id, revision, decide_at, received_at = row
    return Stored(
        interaction=codec.load_interaction(body),
        sequence=sequence,
        client_id=ClientId(client_id),
        revision=revision,
        decide_at=decide_at,
        received_at=received_at,
    )


_BEFORE = Prepared(
    select(interaction.c.body, interaction.c.sequence, interaction.c.revision, interaction.c.received_at).where(
        interaction.c.id == bindparam("by_id")
    )
)
_FIRST = (
    interaction.c.id,
    interaction.c.project,
    interaction.c.channel,
    interaction.c.external_id,
    interaction.c.kind,
    interaction.c.client_id,
    interaction.c.started_at,
    interaction.c.received_at,
    interaction.c.body,
    interaction.c.decide_at,
)


def _insert(sequence: ColumnElement[int]) -> Executable:
    values = {column.key: bindparam(column.key, type_=column.type) for column in _FIRST}
    return insert(interaction).values(sequence=sequence, revision=1, **values).returning(interaction.c.sequence)


# On PostgreSQL numbers are not given in the order of commits. The order that counts is that within a client, and there
# the next one is taken only after the one before is committed: whoever stores holds the project's arrivals.
_INSERT = Prepared(
    _insert(select(func.coalesce(func.max(interaction.c.sequence), 0) + 1).scalar_subquery()),
    postgresql=_insert(func.nextval(text("'interaction_sequence'"))),
)
_UPDATE = Prepared(
    update(interaction)
    .where(interaction.c.id == bindparam("by_id"))
    .values(
        body=bindparam("new_body"),
        revision=bindparam("new_revision"),
        client_id=bindparam("new_client_id"),
        started_at=bindparam("new_started_at"),
        decide_at=bindparam("new_decide_at"),
    )
)


def put(
    conn: Connection,
    found: Interaction,
    *,
    client_id: ClientId,
    received_at: datetime,
    decide_at: datetime | None,
    is_new: bool = False,
) -> Stored:
    """Store the interaction as it is known now; the same content again changes nothing but ``decide_at``.

    ``found.id`` must be the id that `find_external` gave, if it gave one; ``is_new``: it gave none, in this very
    transaction. Other content is the next revision. ``received_at`` is kept from the first time.
    """
    body = codec.dump_interaction(found)
    before = None if is_new else _BEFORE.first(conn, by_id=found.id)
    if before is None:
        sequence = _INSERT.scalar(
            conn,
            id=found.id,
            project=found.project,
            channel=found.channel,
            external_id=found.external_id,
            kind=found.kind,
            client_id=client_id,
            started_at=found.started_at,
            received_at=received_at,
            body=body,
            decide_at=decide_at,
        )
        return Stored(
            interaction=found,
            sequence=sequence,
            client_id=client_id,
            revision=1,
            decide_at=decide_at,
            received_at=received_at,
            is_new=True,
            is_changed=True,
        )
    old_body, sequence, revision, first_received_at = before
    is_changed = old_body != body
    revision += is_changed
    _UPDATE.change(
        conn,
        by_id=found.id,
        new_body=body,
        new_revision=revision,
        new_client_id=client_id,
        new_started_at=found.started_at,
        new_decide_at=decide_at,
    )
    return Stored(
        interaction=found,
        sequence=sequence,
        client_id=client_id,
        revision=revision,
        decide_at=decide_at,
        received_at=first_received_at,
        is_changed=is_changed,
    )


def set_decide_at(conn: Connection, id: InteractionId, at: datetime | None) -> None:
    """Say when the interaction may be decided."""
    conn.execute(update(interaction).where(interaction.c.id == id).values(decide_at=at))


_FIND = Prepared(select(*_COLUMNS).where(interaction.c.id == bindparam("by_id")))
_FIND_EXTERNAL = Prepared(
    select(*_COLUMNS).where(
        interaction.c.project == bindparam("of_project"),
        interaction.c.channel == bindparam("of_channel"),
        interaction.c.external_id == bindparam("by_external_id"),
    )
)
#: beyond all that are given
_NO_SEQUENCE = 2**62
_OF_CLIENT = Prepared(
    select(*_COLUMNS)
    .where(
        interaction.c.client_id == bindparam("of_client"),
        interaction.c.sequence < bindparam("before", type_=BigInteger),
    )
    .order_by(interaction.c.sequence.desc())
    .limit(bindparam("most", type_=Integer))
)
_COUNT_OF_CLIENT = Prepared(
    select(func.count())
    .select_from(interaction)
    .where(interaction.c.client_id == bindparam("of_client"), interaction.c.sequence < bindparam("before"))
)


def find(conn: Connection, id: InteractionId) -> Stored | None:
    """The interaction ``id``."""
    row = _FIND.first(conn, by_id=id)
    return None if row is None else _stored(row)


def find_external(conn: Connection, project: str, channel: str, external_id: str) -> Stored | None:
    """The interaction that the channel's vendor calls ``external_id``."""
    row = _FIND_EXTERNAL.first(conn, of_project=project, of_channel=channel, by_external_id=external_id)
    return None if row is None else _stored(row)


def list_of_client(
    conn: Connection, client_id: ClientId, *, before: int | None = None, limit: int = 100
) -> list[Stored]:
    """The client's interactions, newest first; ``before`` is a sequence."""
    rows = _OF_CLIENT.rows(conn, of_client=client_id, before=_NO_SEQUENCE if before is None else before, most=limit)
    return [_stored(row) for row in rows]


def first_of_client(conn: Connection, client_id: ClientId, *, limit: int) -> list[Stored]:
    """The client's first interactions, oldest first."""
    statement = select(*_COLUMNS).where(interaction.c.client_id == client_id)
    return [_stored(row) for row in conn.execute(statement.order_by(interaction.c.sequence).limit(limit))]


def latest_chat(conn: Connection, project: str, channel: str, client_id: ClientId) -> str | None:
    """The vendor's id of the client's latest chat in this channel, None if there was none."""
    statement = (
        select(interaction.c.external_id)
        .where(
            interaction.c.project == project,
            interaction.c.channel == channel,
            interaction.c.client_id == client_id,
            interaction.c.kind == "chat",
        )
        .order_by(interaction.c.sequence.desc())
        .limit(1)
    )
    found: str | None = conn.execute(statement).scalar()
    return found


def count_of_client(conn: Connection, client_id: ClientId, *, before: int) -> int:
    """How many interactions the client had before the one with this sequence."""
    return int(_COUNT_OF_CLIENT.scalar(conn, of_client=client_id, before=before))


def journal(
    conn: Connection,
    project: str,
    wanted: JournalFilter = JournalFilter(),
    *,
    before: int | None = None,
    limit: int = 50,
) -> list[Stored]:
    """A page of the journal, newest first; page on with ``before`` = the last sequence seen."""
    statement = select(*_COLUMNS).where(interaction.c.project == project)
    if wanted.kinds:
        statement = statement.where(interaction.c.kind.in_(wanted.kinds))
    if wanted.channels:
        statement = statement.where(interaction.c.channel.in_(wanted.channels))
    if wanted.client_id is not None:
        statement = statement.where(interaction.c.client_id == wanted.client_id)
    if wanted.phone:
        owners = select(client_key.c.client_id).where(
            client_key.c.project == project, client_key.c.value.contains(wanted.phone, autoescape=True)
        )
        statement = statement.where(interaction.c.client_id.in_(owners))
    if wanted.since is not None:
        statement = statement.where(interaction.c.started_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(interaction.c.started_at < wanted.until)
    if wanted.states:
        statement = statement.where(
            exists().where(and_(work.c.interaction_id == interaction.c.id, work.c.state.in_(wanted.states)))
        )
    if before is not None:
        statement = statement.where(interaction.c.sequence < before)
    return [_stored(row) for row in conn.execute(statement.order_by(interaction.c.sequence.desc()).limit(limit))]


_ADD_FRAGMENT_VALUES = ("interaction_id", "digest", "inbox_id", "body", "received_at")
_ADD_FRAGMENT = Prepared(
    sqlite.insert(fragment).inline().on_conflict_do_nothing(),
    columns=_ADD_FRAGMENT_VALUES,
    postgresql=postgresql.insert(fragment).inline().on_conflict_do_nothing(),
)


def add_fragment(
    conn: Connection,
    id: InteractionId,
    found: CallFragment | ChatFragment,
    *,
    inbox_id: int | None,
    received_at: datetime,
) -> bool:
    """Keep a fragment of the call or chat ``id``; False if the very same one is there already (a repeated delivery)."""
    body = codec.dump_fragment(found)
    return bool(
        _ADD_FRAGMENT.change(
            conn,
            interaction_id=id,
            digest=hashlib.blake2b(body, digest_size=16).hexdigest(),
            inbox_id=inbox_id,
            body=body,
            received_at=received_at,
        )
    )


_FRAGMENTS = Prepared(
    select(fragment.c.body)
    .where(fragment.c.interaction_id == bindparam("of_interaction"))
    .order_by(fragment.c.received_at, fragment.c.digest)
)
_FIRST_RECEIVED = Prepared(
    select(func.min(fragment.c.received_at)).where(fragment.c.interaction_id == bindparam("of_interaction"))
)


def fragments(conn: Connection, id: InteractionId) -> Sequence[CallFragment | ChatFragment]:
    """Everything that was told of the call or chat ``id``, in a fixed order."""
    return [codec.load_fragment(row[0]) for row in _FRAGMENTS.rows(conn, of_interaction=id)]


def first_received(conn: Connection, id: InteractionId) -> datetime | None:
    """When the first fragment of the call or chat ``id`` arrived; the same however often it is asked."""
    found: datetime | None = _FIRST_RECEIVED.scalar(conn, of_interaction=id)
    return found
