"""On which channel a message goes out (W9), and which of its links are expanded first (W8)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hub.core.records import EmployeeId

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["channel_to_write_on", "expanded", "is_safe_target", "may_be_asked", "short_links"]


def channel_to_write_on(
    employee: EmployeeId, policy: Policy, *, clients: str = "", usable: Collection[str] = ()
) -> str | None:
    """The policy's channel on which ``employee`` writes to a client; None if there is none.

    ``clients`` is the channel on which the client last wrote: a reply goes out there, whatever else is set. Otherwise
    the employee begins: on the channel that they chose, else on the first of the policy that is ``usable`` for this
    client (all if empty: of those whose messenger reaches them) and on which they may write at all.
    """
    allowed = [name for name in policy.channels if policy.roles_on(employee, name) - {"quality"}]
    if clients:
        return clients
    wanted = [name for name in allowed if not usable or name in usable]
    known = policy.people.by_id.get(employee)
    if known is not None and known.writes_from in wanted:
        return known.writes_from
    return wanted[0] if wanted else None


# --- short links (W8) -------------------------------------------------------------------------------------------

#: the CRM's shortener; a link may stand without its scheme, as Salesbot writes it
_SHORT = re.compile(r"(?<![\w.@/-])(?:https?://)?(?:www\.)?amo\.sh/[A-Za-z0-9_-]+", re.IGNORECASE)
_LONGEST_TARGET = 2000


def short_links(text: str, *, is_automatic: bool, policy: Policy) -> tuple[str, ...]:
    """The links in ``text`` whose targets have to be learnt before it is sent, each once; none where the switch is
    off, or where a person wrote the text: only the robot's links were shortened behind anybody's back."""
    if not (policy.messages.expand_links and is_automatic):
        return ()
    return tuple(dict.fromkeys(found[0] for found in _SHORT.finditer(text)))


def may_be_asked(link: str) -> str:
    """The one address that may be requested to learn where ``link`` leads, "" if none may.

    Only the shortener itself over https, without a port or a login in it. Its answer is read, never followed.
    """
    found = _SHORT.fullmatch(link.strip())
    if found is None:
        return ""
    return f"https://amo.sh/{found[0].rpartition('/')[2]}"


def is_safe_target(address: str) -> bool:
    """True for a network address that a request may be sent to: public, so never the hub's own network."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def expanded(text: str, targets: Mapping[str, str]) -> str:
    """``text`` with each short link of ``targets`` as the address that it leads to.

    A target that is no ordinary public web address (another scheme, a login in it, a network address of its own that
    is not public, too long) is left as the short link it was.
    """
    return _SHORT.sub(lambda found: _shown(targets.get(found[0], "")) or found[0], text)


def _shown(target: str) -> str:
    if len(target) > _LONGEST_TARGET or any(letter.isspace() or ord(letter) < 32 for letter in target):
        return ""
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or port not in {None, 80, 443}:
        return ""
    is_number = host.replace(".", "").isdigit() or ":" in host
    if "." not in host and not is_number:
        return ""
    return target if not is_number or is_safe_target(host) else ""
