"""What a popup shows of the client, as it was known at that moment (U1); plain facts, no sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.core.records import EmployeeId

__all__ = ["LastContact", "Shown", "ShownDeal", "ShownLink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLink:
    """A record of the CRM, with the address of its card ("" if nobody told)."""

    connection: str
    kind: str
    id: str
    name: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDeal:
    """An open deal, with the names of where it stands."""

    connection: str
    id: str
    name: str = ""
    url: str = ""
    stage: str = ""
    pipeline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """The client's contact before this one."""

    at: datetime
    #: call | chat | message | form
    kind: str
    who: EmployeeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything beside the popup's own movement."""

    client_id: str = ""
    name: str = ""
    #: E.164, "" for a hidden number or somebody who only writes
    phone: str = ""
    #: the CRM knows the client
    is_known: bool = False
    company: str = ""
    contact: ShownLink | None = None
    deal: ShownDeal | None = None
    #: where the client came from, as the channel and the policy call it
    source: str = ""
    page: str = ""
    referrer: str = ""
    #: the channel's name in the policy
    channel: str = ""
    #: the company's number that was dialled
    line: str = ""
    last_contact: LastContact | None = None
    responsible: EmployeeId | None = None
    #: waits for the first who answers (W2)
    is_unclaimed: bool = False
