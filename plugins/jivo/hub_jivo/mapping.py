"""Jivo's events in the hub's words; pure, the only file that knows both vocabularies (reference 2 to 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from hub.core.chat import ChatFragment, ChatMoment, ClientChanged
from hub.core.interaction import (
    Attribution,
    ChatMessage,
    Destination,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    Message,
    ProjectId,
)
from hub.core.merge import CallFragment, Moment
from hub.core.phone import Phone, parse_phone
from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed

from . import wire
from .config import DecideAt, JivoSettings

__all__ = ["EVENTS", "HANDLE", "EventName", "to_identity", "to_parsed"]


class EventName(StrEnum):
    """The vendor's events (reference 2)."""

    CHAT_ACCEPTED = "chat_accepted"
    CHAT_ASSIGNED = "chat_assigned"
    CHAT_UPDATED = "chat_updated"
    CHAT_FINISHED = "chat_finished"
    OFFLINE_MESSAGE = "offline_message"
    CLIENT_UPDATED = "client_updated"
    CALL_EVENT = "call_event"


EVENTS = tuple(event.value for event in EventName)
#: the kind of handle under which a visitor is known again, whatever contacts they left
HANDLE = "jivo"

#: Unix seconds beyond which a number is no moment of a chat (the year 2200): later ones fall out of the calendar
_LATEST = 7_258_118_400


def to_parsed(event: wire.Event, channel: ChannelConfig, settings: JivoSettings, received_at: datetime) -> Parsed:
    """What ``event`` tells. Raises PayloadError, naming the field, where the vendor's id is missing."""
    if settings.widget_id and event.widget_id and event.widget_id != settings.widget_id:
        return Ignored(reason=f"an event of another Jivo channel: {event.widget_id}")
    match event.event_name:
        case EventName.OFFLINE_MESSAGE:
            return _offline_message(event, channel, settings, received_at)
        case EventName.CALL_EVENT:
            return _call(event, channel, settings, received_at)
        case EventName.CLIENT_UPDATED:
            return _changed(event, channel, settings, received_at)
        case EventName.CHAT_UPDATED if not event.chat_id:
            # the vendor's pages disagree about the two "updated" events: read alike (reference 2)
            return _changed(event, channel, settings, received_at)
        case EventName.CHAT_ACCEPTED | EventName.CHAT_ASSIGNED | EventName.CHAT_UPDATED | EventName.CHAT_FINISHED:
            return _chat(event, channel, settings, received_at)
        case _:
            return Ignored(reason=f"an event that the hub does not know: {event.event_name or 'without a name'}")


# --- the parts --------------------------------------------------------------------------------------------------


def to_identity(event: wire.Event, channel: ChannelConfig, settings: JivoSettings) -> Identity:
    """By what the visitor can be found: contacts, then the visitor's number, then what the site passed as token."""
    visitor, handles = event.visitor, []
    prefix = f"{settings.account}:" if settings.account else ""
    if visitor.number:
        handles.append((HANDLE, f"{prefix}{visitor.number}"))
    if event.client_id:
        handles.append((f"{HANDLE}-client", f"{prefix}{event.client_id}"))
    phone = _phone(visitor.phone, channel)
    fields = {settings.token_field: event.user_token} if settings.token_field and event.user_token else {}
    return Identity(
        phones=(phone,) if phone else (),
        emails=(visitor.email.casefold(),) if "@" in visitor.email else (),
        handles=tuple(handles),
        name=visitor.name,
        fields=fields,
    )


def _phone(text: str, channel: ChannelConfig) -> Phone | None:
    return parse_phone(text, channel.region, eight_is_seven=channel.eight_is_seven) if text else None


def _destination(agent: wire.Agent, department: str, channel: ChannelConfig) -> Destination:
    return Destination(
        phone=_phone(agent.phone, channel),
        staff_id=agent.id,
        name=agent.name,
        email=agent.email,
        department=department,
    )


def _agents(event: wire.Event, channel: ChannelConfig) -> tuple[Destination, ...]:
    known = (event.agent, *event.agents)
    return tuple(_destination(agent, event.department.name, channel) for agent in known if not agent.is_empty)


def _attribution(event: wire.Event) -> Attribution:
    session = event.session
    told = session.utm_json
    split = dict(part.partition("=")[::2] for part in session.utm.split("|") if "=" in part)
    return Attribution(
        utm_source=told.source or split.get("source", ""),
        utm_medium=told.medium or split.get("medium", ""),
        utm_campaign=told.campaign or split.get("campaign", ""),
        utm_content=told.content or split.get("content", ""),
        utm_term=told.term or split.get("term", ""),
        ga_client_id=event.analytics.ga,
        landing_page=event.page.url,
        ip=session.ip_addr,
        country=session.geoip.country_code,
        region=session.geoip.region,
        city=session.geoip.city,
    )


def _parameters(event: wire.Event) -> dict[str, str]:
    """Everything that a condition or a text may want, under short names; what was not told is left out (J2)."""
    geo = event.session.geoip
    told = {
        "event": event.event_name,
        "widget_id": event.widget_id,
        "user_token": event.user_token,
        "visitor_number": event.visitor.number,
        "visitor_description": event.visitor.description,
        "chats_count": event.visitor.chats_count,
        "country": geo.country,
        "country_code": geo.country_code,
        "region": geo.region,
        "city": geo.city,
        "page_url": event.page.url,
        "page_title": event.page.title,
        "user_agent": event.session.user_agent,
        "ym": event.analytics.ym,
        "organization": event.organization.name,
        "tags": ", ".join(tag.title for tag in event.tags if tag.title),
        "status": event.status.title,
        "assign_to": event.assign_to,
        "rate": event.chat.rate,
        "invitation": event.chat.invitation,
        "transcript": event.plain_messages,
    }
    return {name: value for name, value in told.items() if value}


# --- the events -------------------------------------------------------------------------------------------------


def _needed(value: str, field: str) -> str:
    if not value:
        raise PayloadError(f"{field} is missing: without it the event belongs to nothing", field=field)
    return value


_MOMENTS = {
    EventName.CHAT_ACCEPTED: ChatMoment.ACCEPTED,
    EventName.CHAT_ASSIGNED: ChatMoment.CHANGED,
    EventName.CHAT_UPDATED: ChatMoment.CHANGED,
    EventName.CHAT_FINISHED: ChatMoment.ENDED,
}


def _chat(event: wire.Event, channel: ChannelConfig, settings: JivoSettings, received_at: datetime) -> Parsed:
    id, moment = _needed(event.chat_id, "chat_id"), _MOMENTS[EventName(event.event_name)]
    is_end = moment is ChatMoment.ENDED
    if is_end and event.chat.blacklisted:
        return Ignored(reason="the visitor is on Jivo's black list")
    messages = _messages(event, channel)
    agents = _agents(event, channel)
    if is_end and messages and not any(not line.is_from_client for line in messages):
        # who is named and wrote nothing did not answer; who accepted is known from that event
        agents = ()
    return ChatFragment(
        external_id=f"chat-{id}",
        moment=moment,
        started_at=messages[0].at if messages else None,
        happened_at=received_at,
        client=to_identity(event, channel, settings),
        agents=agents,
        messages=messages,
        page=event.page.url,
        department=event.department.name,
        attribution=_attribution(event),
        decides=is_end or (moment is ChatMoment.ACCEPTED and settings.decide_at is DecideAt.ACCEPTED),
        parameters=_parameters(event),
    )


def _messages(event: wire.Event, channel: ChannelConfig) -> tuple[ChatMessage, ...]:
    by_id = {agent.id: agent for agent in (*event.agents, event.agent) if agent.id}
    found: list[ChatMessage] = []
    for line in event.chat.messages:
        author = by_id.get(line.agent_id) or wire.Agent(id=line.agent_id)
        is_agent = line.type == "agent" or (bool(line.agent_id) and line.type != "visitor")
        found.append(
            ChatMessage(
                at=_moment(line.timestamp),
                # what neither side wrote (a bot, the system) is nobody's answer, and not the client's word
                is_from_client=line.type == "visitor",
                text=line.message,
                author=_destination(author, event.department.name, channel) if is_agent else Destination(),
            )
        )
    return tuple(sorted(found, key=lambda line: line.at))


def _moment(seconds: float) -> datetime:
    if not 0 < seconds < _LATEST:
        raise PayloadError("a line of the chat has no moment", field="chat.messages.timestamp")
    return datetime.fromtimestamp(seconds, UTC)


def _changed(event: wire.Event, channel: ChannelConfig, settings: JivoSettings, received_at: datetime) -> Parsed:
    identity = to_identity(event, channel, settings)
    if not identity.handles:
        raise PayloadError("neither client_id nor visitor.number says whose card changed", field="visitor.number")
    parameters = _parameters(event)
    if not event.assigned_agent.is_empty:
        parameters["assigned_agent"] = event.assigned_agent.email or event.assigned_agent.name
    return ClientChanged(happened_at=received_at, client=identity, parameters=parameters)


def _offline_message(
    event: wire.Event, channel: ChannelConfig, settings: JivoSettings, received_at: datetime
) -> Parsed:
    return Message(
        id=InteractionId(""),
        project=ProjectId(channel.project),
        channel=channel.name,
        source=channel.source,
        external_id=f"offline-{_needed(event.offline_message_id, 'offline_message_id')}",
        started_at=received_at,
        direction=Direction.INBOUND,
        client=to_identity(event, channel, settings),
        text=event.message,
        attribution=_attribution(event),
        parameters=_parameters(event),
    )


#: call.status to the part of a call's life (reference 3.2); both "connected" stand before the talk
_CALL_MOMENTS = {
    "start": Moment.RINGING,
    "agent_connected": Moment.FORWARDED,
    "client_connected": Moment.TAKEN,
    "end": Moment.ENDED,
    "error": Moment.ENDED,
}


def _call(event: wire.Event, channel: ChannelConfig, settings: JivoSettings, received_at: datetime) -> Parsed:
    call = event.call
    moment = _CALL_MOMENTS.get(call.status)
    if moment is None:
        raise PayloadError(f"call.status {call.status!r} is unknown", field="call.status")
    if call.type not in ("callback", "incoming", "outgoing"):
        raise PayloadError(f"call.type {call.type!r} is unknown", field="call.type")
    client = to_identity(event, channel, settings)
    phone = _phone(call.phone, channel)
    if phone:
        client = replace(client, phones=(phone,))
    agents = _agents(event, channel)
    is_inbound = call.type == "incoming"
    if is_inbound and moment is Moment.FORWARDED:
        # the client is on the line already: the employee's answer is the talk
        moment = Moment.TAKEN
    elif is_inbound and call.status == "client_connected":
        moment = Moment.RINGING
    return CallFragment(
        # the vendor gives calls no id of their own (?): one chat has at most one call
        external_id=f"call-{_needed(event.chat_id, 'chat_id')}",
        moment=moment,
        started_at=received_at if call.status == "start" else None,
        happened_at=received_at,
        direction=Direction.OUTBOUND if call.type == "outgoing" else Direction.INBOUND,
        disposition=_error(call) if call.status == "error" else None,
        client=client,
        destination=agents[0] if agents else None,
        department=event.department.name,
        recording=call.record_url if call.record_url.startswith(("https://", "http://")) else "",
        is_callback=call.type == "callback",
        attribution=_attribution(event),
        parameters=_parameters(event) | ({"call_reason": call.reason} if call.reason else {}),
    )


def _error(call: wire.Call) -> Disposition:
    """Nobody was reached: an incoming call that fails is one that the company missed."""
    return Disposition.MISSED if call.type == "incoming" else Disposition.FAILED
