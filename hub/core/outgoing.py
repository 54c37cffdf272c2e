"""Messages that the hub sends, and what the vendor tells of them afterwards (W9, W10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from hub.core.interaction import ClientId
from hub.core.records import EmployeeId

__all__ = ["Delivery", "Outgoing", "OutgoingState", "Receipt"]


class OutgoingState(StrEnum):
    """How far a message of ours is; `Delivery` tells what the messenger did with a sent one."""

    WAITING = "waiting"
    #: stored before the request leaves: after a crash it may have been sent
    SENT = "sent"
    DONE = "done"
    #: the vendor refused it: the reason is kept and shown
    REJECTED = "rejected"
    #: nobody can say whether the client got it: never sent again by itself, a person decides
    IN_DOUBT = "in_doubt"


class Delivery(StrEnum):
    """What became of a message that the vendor took."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """A later one never gives way to an earlier one, in whatever order they are told; a failure always stays."""
        return list(Delivery).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to a client, the same on every attempt."""

    #: the hub's own id, by which the vendor recognises a repetition
    id: str
    project: str
    channel: str
    client_id: ClientId
    #: (kind of messenger, the vendor's id of the dialogue), such as ("whatsapp", "380501112233")
    chat: tuple[str, str]
    #: the vendor's id of our number or account that it goes out on
    account: str
    #: one of the two is filled
    text: str = ""
    content_url: str = ""
    #: who wrote it; None for the hub itself
    author: EmployeeId | None = None
    #: written by no person: it answers nobody, so counters and tasks stay (W6)
    is_automatic: bool = False
    created_at: datetime
    #: when it first left; None before
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a vendor tells of a message that went out: part of what `hub.ports.Source.parse` may return."""

    kind: Literal["receipt"] = "receipt"
    #: the vendor's id of the message
    external_id: str
    delivery: Delivery
    at: datetime
    #: for `Delivery.FAILED`: the vendor's code and words
    problem: str = ""
