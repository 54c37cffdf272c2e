"""Several webhooks of one call become one call (A9, C6, X8).

A source turns each thing that it is told into a `CallFragment`; `fold` makes the call from all fragments known so
far. `fold` looks at the set of fragments, not at the order of their arrival, so that late, repeated and disordered
deliveries give the same call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from hub.core.interaction import (
    Attribution,
    Call,
    Destination,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    ProjectId,
)
from hub.core.phone import Phone

__all__ = ["CallFragment", "Moment", "fold"]


class Moment(StrEnum):
    """The part of a call's life that a fragment tells about."""

    RINGING = "ringing"
    #: the call was sent to one destination
    FORWARDED = "forwarded"
    #: an employee picked up
    TAKEN = "taken"
    #: the call, or one record of it, is over
    ENDED = "ended"
    RATED = "rated"
    #: an analysis was added afterwards
    SUMMARISED = "summarised"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFragment:
    """What one webhook, or one row of the channel's own call list, told of a call; None or "" where it did not."""

    kind: Literal["call_fragment"] = "call_fragment"
    #: the telephony's id of the call: fragments of one id are one call, never by phone
    external_id: str
    moment: Moment
    #: when the call began
    started_at: datetime | None = None
    #: when the fragment's own event happened, if the channel tells it apart
    happened_at: datetime | None = None
    direction: Direction | None = None
    disposition: Disposition | None = None
    client: Identity = Identity()
    #: the number on the company's side: dialled by the client, or shown to them
    line: Phone | None = None
    #: who was rung, or answered, in this fragment
    destination: Destination | None = None
    department: str = ""
    scheme: str = ""
    #: seconds; None where not told
    waiting_seconds: int | None = None
    duration_seconds: int | None = None
    talk_seconds: int | None = None
    recording: str = ""
    card_url: str = ""
    is_callback: bool = False
    is_transferred: bool = False
    attribution: Attribution = Attribution()
    summary: str = ""
    rating: int | None = None
    #: from the channel's own call list, not from a webhook (X7)
    is_recovered: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


def fold(
    fragments: Sequence[CallFragment],
    *,
    id: InteractionId,
    project: ProjectId,
    channel: str,
    source: str,
    received_at: datetime,
) -> Call:
    """The call that ``fragments`` (at least one, all of one call) tell of; their order does not matter.

    ``received_at`` stands in for a beginning that no fragment tells.
    """
    raise NotImplementedError
