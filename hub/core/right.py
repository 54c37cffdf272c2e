"""Who may do what with which client (W2, W4, W11, W12): one pure function that views, API and distribution ask.

Quality control sees everything and writes nothing; a manager sees and writes to their own clients only; a head sees
everything and writes to all. A client whom nobody has answered yet is open to everybody who receives new clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from hub.core.assign import standing_in
from hub.core.records import EmployeeId

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Right", "Whose", "may"]

#: ``read`` the conversation, ``write`` to the client, ``take`` the client: become the responsible
Right = Literal["read", "write", "take"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """A client, as far as rights depend on it."""

    #: the name of the channel on which one reads or writes: roles may differ by channel (W11)
    channel: str = ""
    #: the open deal's responsible, else the contact's; None = nobody's
    responsible: EmployeeId | None = None
    #: waits in the CRM's inbox of undecided enquiries for the first who answers (W2)
    is_unclaimed: bool = False
    #: the CRM does not know the client: an employee who begins the conversation takes them (W9)
    is_new: bool = False


_SEES_ALL = frozenset({"head", "quality", "administrator"})
_WRITES_TO_ALL = frozenset({"head", "administrator"})


def may(employee: EmployeeId, right: Right, client: Whose, policy: Policy, now: datetime) -> bool:
    """True if ``employee`` has ``right`` over ``client`` at ``now``; whoever is not in the policy has none.

    While the responsible is away, whoever stands in for them has the same rights, and they keep theirs (X11). A
    client who is nobody's, and is not waiting to be claimed either, is the senior's.
    """
    roles = policy.roles_on(employee, client.channel)
    if right == "read" and roles & _SEES_ALL:
        return True
    if roles & _WRITES_TO_ALL:
        return True
    if not roles or roles == {"quality"}:
        return False
    if client.is_unclaimed:
        return policy.receives_new_on(employee, client.channel)
    if client.responsible is None:
        return client.is_new or "senior" in roles
    return employee == client.responsible or employee == standing_in(client.responsible, policy, now, frozenset())
