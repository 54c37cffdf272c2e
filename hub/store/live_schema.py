"""The tables behind popups: what is shown to whom, who wants what, and whose tab is open (DESIGN 8)."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from hub.store.schema import Id, UtcTime, metadata

__all__ = ["TABLES", "popup", "popup_preference", "presence"]

#: what was last told of each popup; the event rows tell the same in the order in which it happened
popup = Table(
    "popup",
    metadata,
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    #: grows with every change; whoever saw an older one looks again
    Column("version", Integer, nullable=False, default=1),
    Column("client_id", Text, nullable=False, default=""),
    #: JSON of `hub.store.popups.Kept`
    Column("body", LargeBinary, nullable=False),
    #: JSON list: employees who have dealt with it, or closed it
    Column("dismissed", LargeBinary, nullable=False, default=b"[]"),
    #: the last event that told of it
    Column("event_id", Id, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("popup_event", "project", "event_id"),
    Index("popup_updated", "updated_at"),
    Index("popup_client", "project", "client_id", "event_id"),
)

#: what pops up for one employee; who has no row wants everything but sound
popup_preference = Table(
    "popup_preference",
    metadata,
    Column("project", Text, primary_key=True),
    Column("employee", Text, primary_key=True),
    #: JSON of `hub.core.popup.Preferences`
    Column("body", LargeBinary, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

#: employees with an open tab, by the process that serves it; a row that is not renewed means nothing
presence = Table(
    "presence",
    metadata,
    Column("project", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("employee", Text, primary_key=True),
    Column("process", Text, primary_key=True),
    Column("until", UtcTime, nullable=False),
    Index("presence_process", "process"),
)

TABLES = (popup, popup_preference, presence)
