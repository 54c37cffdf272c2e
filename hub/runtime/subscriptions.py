"""Webhooks that are ordered through a vendor's API, and the numbers that messages come through, looked after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import httpx

from hub.errors import VendorError
from hub.messenger import SendsMessages, SubscribesWebhooks
from hub.ports import ChannelConfig
from hub.runtime.services import Services
from hub.store import events, projects

__all__ = ["Subscriptions"]

log = logging.getLogger(__name__)

#: how often an address that is ours is looked at again: somebody may have taken it
CHECK_EVERY = timedelta(minutes=30)


@dataclass(slots=True)
class _Known:
    """What is known of one channel at its vendor's."""

    #: the address that was last found to be ours, "" if it is not
    address: str = ""
    checked_at: datetime | None = None
    accounts_at: datetime | None = None
    #: what was told last, so that it is told once
    problem: str = ""
    #: numbers that are out of order, and the same for people
    inactive: frozenset[str] = frozenset()
    lost: str = ""


class Subscriptions:
    """Looks after all channels; a vendor that fails is asked again at the next look."""

    #: how often the numbers are looked at
    ACCOUNTS_EVERY = timedelta(minutes=5)

    def __init__(self, services: Services, *, http: Callable[[ChannelConfig], httpx.AsyncClient]) -> None:
        self._services, self._http = services, http
        #: two runs at once would tell everything twice
        self._turn = asyncio.Lock()
        self._known: dict[tuple[str, str], _Known] = {}

    def forget(self) -> None:
        """Look at everything anew the next time, as after a start."""
        self._known.clear()

    async def look(self) -> None:
        """One look at every channel, as far as it is due."""
        async with self._turn:
            await self._look()

    async def _look(self) -> None:
        rows = await self._services.store.read(lambda conn: projects.list_channels(conn, self._services.cipher))
        secrets = {(row.project, row.name): row.secret for row in rows}
        for project in self._services.projects.all():
            for channel in project.channels.values():
                key = (project.name, channel.name)
                known = self._known.setdefault(key, _Known())
                if key in secrets:
                    await self._look_at(channel, known, secrets[key])

    async def _look_at(self, channel: ChannelConfig, known: _Known, secret: str) -> None:
        source, now = self._services.plugins.sources.get(channel.source), self._services.clock.now()
        public = self._services.settings.public_url
        try:
            if isinstance(source, SubscribesWebhooks) and public:
                parts = (public.rstrip("/"), "hooks", *(quote(one, safe="") for one in (channel.project, channel.name)))
                address = "/".join((*parts, secret))
                if known.address != address or _is_due(known.checked_at, CHECK_EVERY, now):
                    await self._subscribe(source, channel, known, address, now)
            if isinstance(source, SendsMessages) and _is_due(known.accounts_at, self.ACCOUNTS_EVERY, now):
                known.accounts_at = now
                await self._watch(source, channel, known)
        except VendorError as err:
            await self._problem(channel, known, str(err))

    async def _subscribe(
        self, source: SubscribesWebhooks, channel: ChannelConfig, known: _Known, address: str, now: datetime
    ) -> None:
        found = await source.subscribe(channel, self._http(channel), address)
        known.checked_at, known.address = now, address if found.state == "ours" else ""
        if found.is_new:
            log.info(
                "webhooks of %s/%s come to us now", channel.project, channel.name, extra={"action": "webhooks.ours"}
            )
            await self._tell(channel, "channel.subscribed", {})
        await self._problem(channel, known, found.problem)

    async def _watch(self, source: SendsMessages, channel: ChannelConfig, known: _Known) -> None:
        """A number that lost its telephone, its login or its money is an alarm: nobody else notices the silence."""
        accounts = {one.id: one for one in await source.list_accounts(channel, self._http(channel))}
        inactive = frozenset(id for id, one in accounts.items() if not one.is_active)
        for id in sorted(inactive ^ known.inactive):
            if id not in accounts:
                continue
            one, is_lost = accounts[id], id in inactive
            kind = "channel.account_lost" if is_lost else "channel.account_back"
            level = logging.WARNING if is_lost else logging.INFO
            log.log(level, "%s of %s/%s is %s", one.name, channel.project, channel.name, one.state,
                    extra={"action": kind})  # fmt: skip
            await self._tell(channel, kind, {"account": id, "name": one.name, "state": one.state})
        known.inactive = inactive
        known.lost = ", ".join(f"{accounts[id].name}: {accounts[id].state}" for id in sorted(inactive))
        self._show(channel, known)

    async def _problem(self, channel: ChannelConfig, known: _Known, problem: str) -> None:
        """Told once when it comes; its going is told by what works again."""
        if problem == known.problem:
            return
        known.problem = problem
        self._show(channel, known)
        if problem:
            log.warning("%s/%s: %s", channel.project, channel.name, problem, extra={"action": "channel.problem"})
            await self._tell(channel, "channel.problem", {"reason": problem})

    def _show(self, channel: ChannelConfig, known: _Known) -> None:
        """On the list of what needs a person, as long as it is so."""
        text = "; ".join(part for part in (known.problem, known.lost) if part)
        shown, key = self._services.channel_problems, (channel.project, channel.name)
        shown.pop(key, None)
        if text:
            shown[key] = text

    async def _tell(self, channel: ChannelConfig, kind: str, told: dict[str, str]) -> None:
        body, now = {"channel": channel.name, **told}, self._services.clock.now()
        await self._services.store.write(
            lambda conn: events.append(conn, project=channel.project, kind=kind, body=body, now=now)
        )


def _is_due(before: datetime | None, every: timedelta, now: datetime) -> bool:
    return before is None or now - before >= every
