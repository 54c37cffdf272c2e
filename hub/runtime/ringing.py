"""An employee asks the telephony to ring them and a client together (U1). At most once for one request.

The vendor does not know a repetition, so the request is stored before the call is ordered, and never ordered again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

import httpx
from sqlalchemy import Connection

from hub.core.interaction import ClientId
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.errors import VendorError
from hub.ports import ChannelConfig
from hub.runtime.services import Services
from hub.store import events, locks
from hub.widget_seam import RingsBack

__all__ = ["ORDERED", "Ringing"]

log = logging.getLogger(__name__)

#: the event by which a request is remembered
ORDERED = "call.ordered"
#: how long a browser may repeat a request
REMEMBERED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing:
    """Orders calls over one channel."""

    services: Services
    live: LiveProject
    source: RingsBack
    channel: ChannelConfig
    http: httpx.AsyncClient

    async def ring(
        self, *, request: str, client: ClientId | None, phone: Phone, employee: EmployeeId, destination: str
    ) -> None:
        """Ring ``employee`` at ``destination`` and the client at ``phone``. Raises VendorError, also for a repetition
        of a request that came to nothing: whoever wants it again asks anew."""
        if not await self._is_new(request, client, employee):
            return
        try:
            await self.source.ring(self.channel, self.http, client=phone, employee=destination)
        except VendorError as err:
            log.warning(
                "%s/%s: a call back was not ordered: %s",
                self.live.name,
                self.channel.name,
                err,
                extra={"action": "call.failed"},
            )
            raise
        log.info("%s/%s: a call back was ordered", self.live.name, self.channel.name, extra={"action": ORDERED})

    async def _is_new(self, request: str, client: ClientId | None, employee: EmployeeId) -> bool:
        """Remember the request; False if it was there already."""
        now = self.services.clock.now()
        body = {"request": request, "client": client, "employee": employee, "channel": self.channel.name}

        def store(conn: Connection) -> bool:
            # the browser asks again when an answer is late, perhaps of another process
            locks.hold(conn, "call ordered", self.live.name, request)
            if any(one.body.get("request") == request for one in self._recent(conn)):
                return False
            events.append(conn, project=self.live.name, kind=ORDERED, body=body, now=now)
            return True

        return await self.services.store.write(store)

    def _recent(self, conn: Connection) -> list[events.Event]:
        since = self.services.clock.now() - REMEMBERED
        return events.of_kind(conn, self.live.name, ORDERED, since)
