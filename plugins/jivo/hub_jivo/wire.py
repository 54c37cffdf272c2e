"""Jivo's webhooks under the vendor's own names (reference 2 and 3, www.jivochat.com/docs/webhooks).

Loose in what is ignored, strict in what is read. The vendor's back end is PHP: an empty object comes as ``[]``, ids
as numbers or texts, and what is missing as null or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = [
    "Agent",
    "Analytics",
    "Call",
    "ChatLog",
    "Department",
    "Event",
    "GeoIp",
    "Line",
    "Named",
    "Page",
    "Session",
    "Titled",
    "Utm",
    "Visitor",
]


def _as_text(value: Any) -> Any:
    """Ids and numbers come as numbers or as texts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\0", "").strip() if isinstance(value, str | int | float) else value


def _as_object(value: Any) -> Any:
    """An empty object is written as an empty array, an absent one as null."""
    return {} if value is None or value == [] or value == "" else value


def _as_list(value: Any) -> Any:
    """An array that lost an item comes as an object with numbered keys."""
    if value is None or value == "":
        return []
    return list(value.values()) if isinstance(value, Mapping) else value


def _as_flag(value: Any) -> Any:
    """A yes or no, absent where it is not told."""
    return value in (True, 1, "1", "true")


def _as_seconds(value: Any) -> Any:
    """Unix seconds, possibly as text; 0 where it is not told."""
    if value in (None, ""):
        return 0
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Flag = Annotated[bool, BeforeValidator(_as_flag)]


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class Visitor(_Wire):
    """The client as typed in the widget or by an operator; ``number`` is the visitor's in the whole account."""

    name: Text = ""
    email: Text = ""
    phone: Text = ""
    description: Text = ""
    number: Text = ""
    chats_count: Text = ""


class Agent(_Wire):
    """An operator."""

    id: Text = ""
    name: Text = ""
    email: Text = ""
    phone: Text = ""

    @property
    def is_empty(self) -> bool:
        return not (self.id or self.name or self.email)


class Department(_Wire):
    id: Text = ""
    name: Text = ""


class GeoIp(_Wire):
    country_code: Text = ""
    country: Text = ""
    region: Text = ""
    city: Text = ""


class Utm(_Wire):
    source: Text = ""
    medium: Text = ""
    campaign: Text = ""
    content: Text = ""
    term: Text = ""


class Session(_Wire):
    geoip: Annotated[GeoIp, BeforeValidator(_as_object)] = GeoIp()
    #: ``source=google|medium=cpc``
    utm: Text = ""
    utm_json: Annotated[Utm, BeforeValidator(_as_object)] = Utm()
    ip_addr: Text = ""
    user_agent: Text = ""


class Page(_Wire):
    url: Text = ""
    title: Text = ""


class Analytics(_Wire):
    #: Google Analytics client id
    ga: Text = ""
    ym: Text = ""


class Named(_Wire):
    id: Text = ""
    name: Text = ""


class Titled(_Wire):
    id: Text = ""
    title: Text = ""


class Line(_Wire):
    """One line of a chat's log."""

    message: Text = ""
    timestamp: Annotated[float, BeforeValidator(_as_seconds)] = 0
    #: visitor, agent; others are possible
    type: Text = ""
    agent_id: Text = ""


class ChatLog(_Wire):
    messages: Annotated[tuple[Line, ...], BeforeValidator(_as_list)] = ()
    rate: Text = ""
    blacklisted: Flag = False
    invitation: Text = ""


class Call(_Wire):
    """A call of Jivo's telephony or callback widget; ``record_url`` only at the end, ``reason`` only at an error."""

    type: Text = ""
    phone: Text = ""
    status: Text = ""
    record_url: Text = ""
    reason: Text = ""


class Event(_Wire):
    """Any webhook: ``event_name`` says which of the parts are there."""

    event_name: Text
    widget_id: Text = ""
    chat_id: Text = ""
    client_id: Text = ""
    offline_message_id: Text = ""
    user_token: Text = ""
    message: Text = ""
    assign_to: Text = ""
    plain_messages: Text = ""
    visitor: Annotated[Visitor, BeforeValidator(_as_object)] = Visitor()
    agent: Annotated[Agent, BeforeValidator(_as_object)] = Agent()
    agents: Annotated[tuple[Agent, ...], BeforeValidator(_as_list)] = ()
    assigned_agent: Annotated[Agent, BeforeValidator(_as_object)] = Agent()
    department: Annotated[Department, BeforeValidator(_as_object)] = Department()
    session: Annotated[Session, BeforeValidator(_as_object)] = Session()
    page: Annotated[Page, BeforeValidator(_as_object)] = Page()
    analytics: Annotated[Analytics, BeforeValidator(_as_object)] = Analytics()
    organization: Annotated[Named, BeforeValidator(_as_object)] = Named()
    tags: Annotated[tuple[Titled, ...], BeforeValidator(_as_list)] = ()
    status: Annotated[Titled, BeforeValidator(_as_object)] = Titled()
    chat: Annotated[ChatLog, BeforeValidator(_as_object)] = ChatLog()
    call: Annotated[Call, BeforeValidator(_as_object)] = Call()
