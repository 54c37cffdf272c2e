"""The tables for messages that go out, and for what messengers' vendors were told (`hub.store.schema` has the rest)."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from hub.store.schema import Id, UtcTime, metadata

__all__ = ["outgoing", "shared", "waiting"]

#: a message of ours to a client: kept until the vendor has taken it, and afterwards for what becomes of it (W9, W10)
outgoing = Table(
    "outgoing",
    metadata,
    #: the order of sending
    Column("sequence", Id, primary_key=True, autoincrement=True),
    #: the vendor's key against doubles
    Column("id", Text, nullable=False, unique=True),
    Column("project", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    #: JSON of `Outgoing`
    Column("body", LargeBinary, nullable=False),
    #: waiting | sent | done | rejected | in_doubt
    Column("state", Text, nullable=False, default="waiting"),
    #: accepted | sent | delivered | read | failed, as the vendor tells
    Column("delivery", Text, nullable=False, default=""),
    Column("external_id", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("note", Text, nullable=False, default=""),
    Index("outgoing_waiting", "project", "channel", "state", "sequence"),
    Index("outgoing_client", "client_id", "sequence"),
    Index("outgoing_external", "project", "channel", "external_id"),
    sqlite_autoincrement=True,
)

#: what a channel's vendor was told of our users, contacts, deals and pipelines
shared = Table(
    "shared",
    metadata,
    Column("project", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    #: users | contacts | deals | pipelines
    Column("kind", Text, primary_key=True),
    #: the id under which the vendor knows it
    Column("id", Text, primary_key=True),
    #: hash of what was told last; "" for an id that was promised only
    Column("digest", Text, nullable=False, default=""),
    #: ``connection/record id`` of what it is in the CRM; "" while it is in none
    Column("record", Text, nullable=False, default=""),
    #: why the vendor refused it
    Column("problem", Text, nullable=False, default=""),
    Column("at", UtcTime, nullable=False),
    Index("shared_record", "project", "channel", "record"),
)

#: clients who wrote and have not been answered (W6): kept as interactions arrive
waiting = Table(
    "waiting",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("project", Text, nullable=False),
    #: the first interaction that nobody answered
    Column("interaction_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    #: whose client it is
    Column("employee", Text),
    Index("waiting_project", "project", "employee"),
)
