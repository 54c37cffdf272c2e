"""Several webhooks of one chat become one chat (A9, J1), as `hub.core.merge` does for calls.

A source turns each thing that it is told into a `ChatFragment`; `fold_chat` makes the chat from all fragments known
so far. It looks at the set of fragments, not at the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from hub.core.interaction import (
    Attribution,
    Chat,
    ChatMessage,
    Destination,
    Identity,
    InteractionId,
    Leg,
    ProjectId,
)
from hub.core.merge import first_attribution, first_told

__all__ = ["ChatFragment", "ChatMoment", "ClientChanged", "fold_chat"]


class ChatMoment(StrEnum):
    """The part of a chat's life that a fragment tells about."""

    #: an employee took the chat
    ACCEPTED = "accepted"
    #: what is known of the client changed
    CHANGED = "changed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFragment:
    """What one webhook told of a chat; None, () or "" where it did not."""

    kind: Literal["chat_fragment"] = "chat_fragment"
    #: the vendor's id of the chat: fragments of one id are one chat, never by phone
    external_id: str
    moment: ChatMoment
    started_at: datetime | None = None
    #: when the fragment's own event happened, as nearly as is known
    happened_at: datetime
    client: Identity = Identity()
    #: who took part, as far as this fragment tells
    agents: tuple[Destination, ...] = ()
    messages: tuple[ChatMessage, ...] = ()
    page: str = ""
    department: str = ""
    attribution: Attribution = Attribution()
    #: True if the chat may be decided as soon as this is known; what comes later is a revision (DESIGN 2.3)
    decides: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanged:
    """What is known of a client changed outside any chat: it belongs to the latest chat of that client (J4)."""

    kind: Literal["client_changed"] = "client_changed"
    happened_at: datetime
    client: Identity
    parameters: Mapping[str, str] = field(default_factory=dict)

    def as_fragment(self, external_id: str) -> ChatFragment:
        """The same, told of the chat ``external_id``."""
        return ChatFragment(
            external_id=external_id,
            moment=ChatMoment.CHANGED,
            happened_at=self.happened_at,
            client=self.client,
            parameters=self.parameters,
        )


def fold_chat(
    fragments: Sequence[ChatFragment],
    *,
    id: InteractionId,
    project: ProjectId,
    channel: str,
    source: str,
    received_at: datetime,
) -> Chat:
    """The chat that ``fragments`` (at least one, all of one chat) tell of; their order does not matter.

    - What is known of the client is taken part by part from the fragment that happened last and tells it: who
      corrects a number means the new one.
    - Employees are legs in the order in which they were first told of; one who only stands in the list of the end
      and of whom no message is known took part too.
    - The messages are those of the fullest telling.
    - ``is_final`` is True as soon as one fragment `ChatFragment.decides`.
    """
    if not fragments:
        raise ValueError("a chat cannot be folded from nothing")
    known = _distinct(fragments)
    latest = known[::-1]
    messages = max((one.messages for one in latest), key=len)
    begun = [one.started_at for one in known if one.started_at] + [line.at for line in messages[:1]]
    ended = [one for one in known if one.moment is ChatMoment.ENDED]
    return Chat(
        id=id,
        project=project,
        channel=channel,
        source=source,
        external_id=known[0].external_id,
        started_at=min(begun, default=min(received_at, known[0].happened_at)),
        ended_at=_end_of(ended, messages),
        client=Identity(
            phones=next((one.client.phones for one in latest if one.client.phones), ()),
            emails=next((one.client.emails for one in latest if one.client.emails), ()),
            handles=tuple(dict.fromkeys(handle for one in known for handle in one.client.handles)),
            name=first_told(one.client.name for one in latest),
            fields={key: value for one in known for key, value in one.client.fields.items() if value},
        ),
        messages=messages,
        legs=_legs_of(known, messages),
        page=first_told(one.page for one in known),
        department=first_told(one.department for one in latest),
        # as told first, since later pages are inside the site
        attribution=first_attribution([one.attribution for one in known]),
        is_final=any(one.decides for one in known),
        parameters={key: value for one in known for key, value in one.parameters.items() if value},
    )


#: among fragments of one moment of time the later part of the chat's life counts as later
_ORDER = {ChatMoment.ACCEPTED: 0, ChatMoment.CHANGED: 1, ChatMoment.ENDED: 2}


def _distinct(fragments: Sequence[ChatFragment]) -> list[ChatFragment]:
    """The set of ``fragments`` in the order in which they happened, whatever order they came in."""
    if len(fragments) == 1:
        return list(fragments)
    return [one for _, one in sorted({_canonical_key(one): one for one in fragments}.items())]


def _canonical_key(one: ChatFragment) -> tuple[datetime, int, str]:
    fields, parameters = sorted(one.client.fields.items()), sorted(one.parameters.items())
    text = repr((replace(one, parameters={}, client=replace(one.client, fields={})), fields, parameters))
    return one.happened_at.astimezone(UTC), _ORDER[one.moment], text


def _end_of(ended: Sequence[ChatFragment], messages: Sequence[ChatMessage]) -> datetime | None:
    """When the talk was over: the last message, since a chat is closed long after the client has left."""
    if not ended:
        return None
    return messages[-1].at if messages else min(one.happened_at for one in ended)


def _legs_of(known: Sequence[ChatFragment], messages: Sequence[ChatMessage]) -> tuple[Leg, ...]:
    legs: list[Leg] = []
    wrote = [line.author for line in messages if not line.is_from_client and not line.author.is_empty]
    for one in known:
        for agent in one.agents:
            _take(legs, agent, one.happened_at)
    # who wrote last had the chat at its end: they stand last
    for author in wrote:
        _take(legs, author, None)
    if wrote:
        legs.sort(
            key=lambda leg: max((i for i, who in enumerate(wrote) if leg.destination.is_same_as(who)), default=-1)
        )
    return tuple(legs)


def _take(legs: list[Leg], agent: Destination, at: datetime | None) -> None:
    if agent.is_empty:
        return
    for number, leg in enumerate(legs):
        if leg.destination.is_same_as(agent):
            # who was told by name first and by the vendor's id later is one employee, known by both
            legs[number] = replace(leg, destination=leg.destination.joined(agent))
            return
    legs.append(Leg(destination=agent, is_answered=True, started_at=at))
