"""No reply needed: somebody said so in the hub, or the vendor's counter of unanswered messages is at zero (W6)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from hub.core.interaction import ClientId
from hub.core.records import EmployeeId
from hub.core.waiting import dismissal_key
from hub.runtime.services import Services
from hub.store import dues, waiting
from hub.store.dues import Due
from hub.store.waiting import Waiting

__all__ = ["dismiss", "dismiss_all_of"]


async def dismiss(services: Services, client_id: ClientId) -> bool:
    """The client needs no reply: what their messages made is closed soon; False if they do not wait for one.

    It passes like a timer of the client, so it neither overtakes what is being written nor is lost in a crash.
    """
    now = services.clock.now()

    def ask(conn: Connection) -> bool:
        found = waiting.get(conn, client_id)
        if found is None:
            return False
        _ask(conn, found, now)
        return True

    return await services.store.write(ask)


async def dismiss_all_of(
    services: Services, project: str, employee: EmployeeId, *, until: datetime, channel: str = ""
) -> int:
    """The same for every client of ``employee`` who waits since before ``until``; how many there were.

    For a vendor who counts unanswered messages per user and tells of no single chat: ``until`` is when the counter
    was asked for, so that a message that came meanwhile keeps waiting; ``channel`` leaves alone those who wrote
    through another hook.
    """
    now = services.clock.now()

    def ask(conn: Connection) -> int:
        everybody = waiting.list_waiting(conn, project, employee)
        found = [one for one in everybody if one.since <= until and channel in {"", one.channel}]
        for one in found:
            _ask(conn, one, now)
        return len(found)

    return await services.store.write(ask)


def _ask(conn: Connection, found: Waiting, now: datetime) -> None:
    key = dismissal_key(found.client_id, found.interaction_id)
    dues.put(conn, Due(project=found.project, client_id=found.client_id, key=key, at=now))
