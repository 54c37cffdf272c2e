"""A leg between employees inside a client's call: it belongs to that call and says nothing of the client (R6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hub.core.interaction import Identity

if TYPE_CHECKING:
    from hub.core.merge import CallFragment

__all__ = ["without_inner_sides"]

#: handles that only places inside the company have
_INSIDE = frozenset({"sip", "extension"})


def without_inner_sides(known: Sequence[CallFragment]) -> list[CallFragment]:
    """``known`` of one call, where a record that names a colleague as its other side leaves client, line and direction
    to the records of the client; a call that knows no client stays as it is."""
    sides = [one.client for one in known if not one.client.is_empty]
    if len(sides) < 2 or all(side == sides[0] for side in sides):
        return list(known)
    places = [one.destination for one in known if one.destination is not None]
    phones = {place.phone for place in places if place.phone}
    logins = {place.login for place in places if place.login}

    def is_inner(side: Identity) -> bool:
        if side.phones or side.emails:
            return any(phone in phones for phone in side.phones)
        return any(kind in _INSIDE or handle in logins for kind, handle in side.handles)

    if all(is_inner(side) for side in sides):
        return list(known)
    return [
        replace(one, client=Identity(), line=None, direction=None) if is_inner(one.client) else one for one in known
    ]
