"""The vendor's counters of unanswered messages: at zero, an employee's message tasks are done (W6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx

from hub.errors import VendorError
from hub.messenger import CountsUnanswered
from hub.ports import ChannelConfig
from hub.runtime import no_reply
from hub.runtime.services import Services
from hub.store import waiting

__all__ = ["Counters"]

log = logging.getLogger(__name__)


class Counters:
    """Asks for those employees only for whom somebody waits."""

    def __init__(self, services: Services, *, http: Callable[[ChannelConfig], httpx.AsyncClient]) -> None:
        self._services, self._http = services, http
        #: two runs at once would tell everything twice
        self._turn = asyncio.Lock()
        self._away: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Ask every channel that counts; one that fails is asked again at the next look."""
        async with self._turn:
            await self._look()

    async def _look(self) -> None:
        for project in self._services.projects.all():
            if project.policy is None or not project.is_writing:
                continue
            for channel in project.channels.values():
                source = self._services.plugins.sources.get(channel.source)
                if isinstance(source, CountsUnanswered):
                    try:
                        await self._look_at(project.name, channel, source)
                        self._away.discard((project.name, channel.name))
                    except VendorError as err:
                        if (project.name, channel.name) not in self._away:
                            self._away.add((project.name, channel.name))
                            log.info(
                                "the counters of %s/%s cannot be read: %s",
                                project.name,
                                channel.name,
                                err,
                                extra={"action": "counters.away"},
                            )

    async def _look_at(self, project: str, channel: ChannelConfig, source: CountsUnanswered) -> None:
        asked_at = self._services.clock.now()
        rows = await self._services.store.read(lambda conn: waiting.list_waiting(conn, project))
        employees = {one.employee for one in rows if one.employee is not None and one.channel == channel.name}
        if not employees:
            return
        counts = await source.unanswered(channel, self._http(channel), sorted(employees))
        for employee in sorted(employees):
            if counts.get(employee) == 0:
                done = await no_reply.dismiss_all_of(self._services, project, employee, until=asked_at)
                log.info(
                    "the vendor's counter of an employee of %s is at zero: %d wait no more",
                    project,
                    done,
                    extra={"action": "counters.zero"},
                )
