"""A CRM's own popup for a call: what the hub tells it, and who understands (U1, C7, DESIGN 8).

The hub shows popups in its widget's tabs. Where a CRM has a popup of its own, it is asked for it for those employees
whose tab is not open; where the widget does not live in that CRM, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from hub.core.interaction import Attribution, Direction, Disposition
from hub.core.phone import Phone
from hub.core.records import UserId

__all__ = ["CallSign", "ShowsCalls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSign:
    """A call begins to ring, is taken by somebody for whom it did not ring, or is over."""

    phase: Literal["ringing", "taken", "over"]
    phone: Phone
    direction: Direction
    #: the CRM's users whom it concerns; never empty
    users: tuple[UserId, ...]
    #: the telephony's id of the call
    call_id: str
    #: the company's number
    line: Phone | None = None
    attribution: Attribution = Attribution()
    #: how it ended; PENDING while it goes on
    disposition: Disposition = Disposition.PENDING


@runtime_checkable
class ShowsCalls(Protocol):
    """A sink session whose CRM has a popup of its own for calls."""

    async def show_call(self, sign: CallSign) -> None:
        """Ask for it, in one request; what the vendor has nothing for is not sent. Raises VendorError.

        Called once for each user and phase: what fails is not tried again, for a popup is of no use later.
        """
        ...
