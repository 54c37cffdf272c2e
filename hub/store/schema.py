"""The tables of ``hub.db``, the truth. One schema for SQLite and PostgreSQL.

Instants are stored as whole microseconds since 1970 UTC (`UtcTime`), so that both engines order and compare them
alike. JSON is stored as bytes made by `hub.store.codec`. ``directory.db`` has its own tables (`hub.store.directory`).
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from hub.store.column import Id, UtcTime, metadata, request_columns

__all__ = [
    "Id",
    "UtcTime",
    "binding",
    "channel",
    "client",
    "client_join",
    "client_key",
    "connection",
    "decision",
    "due",
    "event",
    "forwarding_log",
    "fragment",
    "inbox",
    "interaction",
    "metadata",
    "migration",
    "neighbour_key",
    "policy_version",
    "project",
    "refused_value",
    "rota",
    "session",
    "step",
    "timed_run",
    "user",
    "work",
]

migration = Table(
    "migration",
    metadata,
    Column("name", Text, primary_key=True),
    Column("applied_at", UtcTime, nullable=False),
)

project = Table(
    "project",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False, default=""),
    #: shadow (decides, writes nothing) | live
    Column("mode", Text, nullable=False, default="shadow"),
    #: writing is stopped, accepting goes on
    Column("is_paused", Boolean, nullable=False, default=False),
    #: file | console: who may change the policy
    Column("managed", Text, nullable=False, default="file"),
    Column("created_at", UtcTime, nullable=False),
)

policy_version = Table(
    "policy_version",
    metadata,
    Column("project", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("based_on", Integer),
    Column("published_at", UtcTime, nullable=False),
)

channel = Table(
    "channel",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    #: JSON of the source's settings model, encrypted
    Column("settings", LargeBinary, nullable=False),
    #: what the address of the channel's webhooks ends in; encrypted, and its keyed hash for looking it up
    Column("secret", LargeBinary, nullable=False),
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("first_seen_at", UtcTime),
    Column("last_seen_at", UtcTime),
    #: where reading the vendor's own log goes on (X7)
    Column("cursor", Text, nullable=False, default=""),
)

connection = Table(
    "connection",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sink", Text, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    #: tokens and cursors of the plugin, encrypted; changes only from the version that was read
    Column("state", LargeBinary),
    Column("state_version", Integer, nullable=False, default=0),
    Column("secret", LargeBinary, nullable=False),
    Column("secret_hash", Text, nullable=False, unique=True),
    #: ready | retrying | needs_credentials | misconfigured | banned | off
    Column("status", Text, nullable=False, default="off"),
    Column("status_reason", Text, nullable=False, default=""),
    Column("status_at", UtcTime),
    #: JSON of `Catalogue`
    Column("catalogue", LargeBinary),
    Column("catalogue_at", UtcTime),
    #: where the feed and the import go on
    Column("feed_cursor", Text, nullable=False, default=""),
    Column("feed_at", UtcTime),
    Column("import_cursor", Text, nullable=False, default=""),
    Column("import_progress", Integer, nullable=False, default=0),
    Column("imported_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
)

binding = Table(
    "binding",
    metadata,
    Column("project", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    #: employee | pipeline | stage | field | task_type
    Column("kind", Text, primary_key=True),
    #: the policy's word: employee id, pipeline name, "pipeline/stage", "deal/field" ...
    Column("name", Text, primary_key=True),
    #: the CRM's id; "" while nothing fits
    Column("value", Text, nullable=False),
    Column("is_manual", Boolean, nullable=False, default=False),
    Column("checked_at", UtcTime),
    #: a sentence when the name vanished from the CRM
    Column("problem", Text, nullable=False, default=""),
)

_IS_UNREAD = text("status = 'new'")
_IS_SPOOLED = text("spool_id IS NOT NULL")
inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    #: kind: hook | form | crm | due | recovered
    *request_columns(),
    #: new | done | ignored | unreadable | failed
    Column("status", Text, nullable=False, default="new"),
    #: for unreadable: the field at fault and the sentence; for ignored: the reason
    Column("field", Text, nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("interaction_id", Text),
    Column("read_at", UtcTime),
    #: where a process has a spool: what it called the request, so that it is stored once however often it is brought
    Column("spool_id", Text),
    Index("inbox_new", "status", "id"),
    Index("inbox_project", "project", "id"),
    #: who has something unread: projects are read in turn
    Index("inbox_waiting", "project", "id", sqlite_where=_IS_UNREAD, postgresql_where=_IS_UNREAD),
    Index("inbox_spool", "spool_id", unique=True, sqlite_where=_IS_SPOOLED, postgresql_where=_IS_SPOOLED),
    sqlite_autoincrement=True,
)

_IS_MERGED = text("merged_into IS NOT NULL")
client = Table(
    "client",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False),
    #: joined into another client (X12)
    Column("merged_into", Text),
    Column("name", Text, nullable=False, default=""),
    #: the employee who last talked to the client, over all channels
    Column("last_talked", Text),
    Column("last_talked_at", UtcTime),
    #: JSON list: employees whose outgoing call has reached the client (A15)
    Column("called_by", LargeBinary, nullable=False, default=b"[]"),
    Column("created_at", UtcTime, nullable=False),
    Index("client_project", "project"),
    Index("client_merged", "merged_into", sqlite_where=_IS_MERGED, postgresql_where=_IS_MERGED),
)

client_key = Table(
    "client_key",
    metadata,
    Column("project", Text, primary_key=True),
    #: phone | email | <handle kind> | field:<name>
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index("client_key_client", "client_id"),
)

client_join = Table(
    "client_join",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("kept", Text, nullable=False),
    Column("joined", Text, nullable=False),
    Column("reason", Text, nullable=False),
    #: JSON: keys and interactions that moved
    Column("moved", LargeBinary, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("undone_at", UtcTime),
    Index("client_join_kept", "kept"),
    Index("client_join_joined", "joined"),
)

#: a number or e-mail that a person had taken off a contact: the hub does not put it there again (X12)
refused_value = Table(
    "refused_value",
    metadata,
    Column("project", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    #: the CRM's id of the contact
    Column("record_id", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("at", UtcTime, nullable=False),
)

interaction = Table(
    "interaction",
    metadata,
    Column("id", Text, primary_key=True),
    #: the order of arrival, over all projects
    Column("sequence", Id, nullable=False, unique=True),
    Column("project", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    #: JSON of the interaction as it is known now
    Column("body", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    #: when it may be decided; None while the channel has not declared it final (DESIGN 2.3)
    Column("decide_at", UtcTime),
    UniqueConstraint("project", "channel", "external_id"),
    Index("interaction_client", "client_id", "sequence"),
    Index("interaction_started", "project", "started_at"),
    Index("interaction_decide", "decide_at"),
)

fragment = Table(
    "fragment",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    #: hash of the content: a repeated delivery is the same row
    Column("digest", Text, primary_key=True),
    Column("inbox_id", Id),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcTime, nullable=False),
)

_IS_OPEN = text("state = 'open'")
#: one interaction in one CRM: the unit of order (DESIGN 2.4)
work = Table(
    "work",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("project", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("sequence", Id, nullable=False),
    #: open (waits for its turn) | deciding | writing (steps are outstanding) | finished | attention
    Column("state", Text, nullable=False, default="open"),
    #: the revision of the interaction that was last decided; 0 = none
    Column("decided_revision", Integer, nullable=False, default=0),
    Column("note", Text, nullable=False, default=""),
    #: digest of the snapshot that was decided on, so that a barrier can tell whether it still holds
    Column("seen", Text, nullable=False, default=""),
    Column("updated_at", UtcTime, nullable=False),
    #: requests that the CRM was asked for this interaction, in thousandths (batches are shared)
    Column("cost", Integer, nullable=False, default=0),
    #: 1 fresh, 2 replayed alone, 3 replayed with many others (`hub.runtime.pace.Urgency`)
    Column("urgency", Integer, nullable=False, default=1, server_default="1"),
    #: the version of the policy that decides; 0 = the newest (X13)
    Column("rules", Integer, nullable=False, default=0, server_default="0"),
    #: decided on what its last decision saw, not on what the CRM holds now
    Column("on_seen", Boolean, nullable=False, default=False, server_default=false()),
    Index("work_lane", "client_id", "connection", "sequence"),
    Index("work_state", "state", "connection"),
    Index("work_project", "project", "state"),
    # what waits to be decided, by age: each account's own, asked for every second
    Index("work_open", "project", "connection", "sequence", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    # the few that wait to be replayed in bulk, asked for every second
    Index("work_bulk", "project", "connection", sqlite_where=text("urgency = 3"), postgresql_where=text("urgency = 3")),
)

#: keys of an interaction that other clients may have too without being the same person (X12, DESIGN 2.2)
neighbour_key = Table(
    "neighbour_key",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("project", Text, nullable=False),
    Index("neighbour_key_key", "project", "key"),
)

decision = Table(
    "decision",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("interaction_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    #: zstd of the JSON
    Column("snapshot", LargeBinary, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    #: decision | shadow | replay
    Column("purpose", Text, nullable=False, default="decision"),
    Index("decision_interaction", "interaction_id", "connection", "id"),
)

#: word for word the condition of the partial index: an engine sees only then that the index will do
_IS_OUTSTANDING = text("state IN ('waiting', 'sent', 'in_doubt')")
_HAS_MOMENT = text("not_before IS NOT NULL")
_OF_ACCOUNT = ("project", "connection")
step = Table(
    "step",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("interaction_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    #: `Action.kind`
    Column("kind", Text, nullable=False),
    #: JSON of the action
    Column("action", LargeBinary, nullable=False),
    #: 0 popups, 1 records of fresh interactions, 2 retries, 3 imports and reconciliation
    Column("class", Integer, nullable=False, default=1),
    #: the order within its decision
    Column("position", Integer, nullable=False, default=0),
    #: waiting | sent | done | rejected | in_doubt | withdrawn
    Column("state", Text, nullable=False, default="waiting"),
    #: steps (keys, JSON list) whose records this one refers to
    Column("needs", LargeBinary, nullable=False, default=b"[]"),
    Column("hub_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("doubt_checks", Integer, nullable=False, default=0),
    Column("not_before", UtcTime),
    Column("batch_id", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("ended_at", UtcTime),
    #: the record that it made or changed
    Column("record_kind", Text),
    Column("record_id", Text),
    #: JSON of `Changes`: what it did to the directory
    Column("effect", LargeBinary),
    #: the CRM's or the hub's sentence about it
    Column("note", Text, nullable=False, default=""),
    UniqueConstraint("project", "connection", "key"),
    # small, whatever has ended: an account's writer asks for its own several times a second
    Index(
        "step_outstanding",
        *_OF_ACCOUNT,
        "state",
        "class",
        "id",
        sqlite_where=_IS_OUTSTANDING,
        postgresql_where=_IS_OUTSTANDING,
    ),
    Index("step_moment", *_OF_ACCOUNT, "not_before", sqlite_where=_HAS_MOMENT, postgresql_where=_HAS_MOMENT),
    Index("step_interaction", "interaction_id", "connection"),
    Index("step_client", "client_id", "connection"),
    Index("step_ended", "connection", "ended_at"),
)

rota = Table(
    "rota",
    metadata,
    Column("project", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

#: a look at one client that is due (overdue call-back ...): becomes an inbox row when its time comes
due = Table(
    "due",
    metadata,
    Column("project", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("body", LargeBinary, nullable=False, default=b"{}"),
    Index("due_at", "at"),
)

#: one run of a scheduled job, named ``{job}@{instant}``
timed_run = Table(
    "timed_run",
    metadata,
    Column("name", Text, primary_key=True),
    #: running | done | failed
    Column("state", Text, nullable=False),
    Column("lease", Text, nullable=False),
    Column("leased_until", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=1),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("note", Text, nullable=False, default=""),
)

#: what the live views are told; NOTIFY and the like are only wake-ups
event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("event_project", "project", "id"),
    sqlite_autoincrement=True,
)

forwarding_log = Table(
    "forwarding_log",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("uuid", Text, nullable=False, default=""),
    Column("call_id", Text, nullable=False, default=""),
    Column("caller", Text, nullable=False, default=""),
    Column("asked_at", UtcTime, nullable=False),
    Column("destination", Text, nullable=False, default=""),
    Column("employee", Text, nullable=False, default=""),
    #: microseconds from reading the question to the answer
    Column("took", Integer, nullable=False),
    #: how old the oldest fact was, milliseconds; None if no fact was used
    Column("age", Integer),
    #: JSON of the explanation
    Column("explanation", LargeBinary, nullable=False, default=b"{}"),
    Index("forwarding_call", "project", "call_id"),
    Index("forwarding_asked", "project", "asked_at"),
)

user = Table(
    "user_account",
    metadata,
    Column("login", Text, primary_key=True),
    #: argon2
    Column("password", Text, nullable=False),
    #: admin | head
    Column("role", Text, nullable=False),
    #: JSON list of projects, [] = all
    Column("projects", LargeBinary, nullable=False, default=b"[]"),
    Column("language", Text, nullable=False, default="en"),
    Column("created_at", UtcTime, nullable=False),
)

session = Table(
    "session",
    metadata,
    #: hash of the cookie's value
    Column("token_hash", Text, primary_key=True),
    Column("login", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index("session_expires", "expires_at"),
)
