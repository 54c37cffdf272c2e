"""``hub recover``: process what a channel's own log knows and the hub does not (X7)."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta

from hub.commands.context import console, fail, opened, print_json, say, speaker, the_project
from hub.runtime.channel_client import ChannelClients
from hub.runtime.reconcile import Reconciler, Recovery
from hub.runtime.services import Services

__all__ = ["recover"]


def recover(*, days: int, channel: str, write: bool, project: str, as_json: bool) -> None:
    """Compare the last ``days`` with the vendor's log; a dry run unless ``write``."""
    with opened() as services:
        name = the_project(services, project)
        live = services.projects.get(name)
        chosen = [found for found in live.channels if channel in ("", found)]
        if len(chosen) != 1:
            raise fail(f"say which channel with --channel; known: {', '.join(live.channels) or 'none'}")
        found = asyncio.run(_recover(services, name, chosen[0], days, write=write))
        if as_json:
            print_json(asdict(found))
            return
        for item in found.recovered:
            console.print(f"{item.started_at:%Y-%m-%d %H:%M} UTC  {item.external_id}", highlight=False)
        for reason in found.unreadable:
            say("{reason}", lead="unreadable", style="yellow", reason=speaker().theirs(reason))
        count = len(found.recovered)
        if not count:
            say("{listed} in the log, all of them known.", listed=found.listed)
        elif write:
            told = "{count} of {listed} were taken in; a running hub decides them within a second."
            say(told, count=count, listed=found.listed)
        else:
            say("{count} of {listed} would be taken in. Add --write to do it.", count=count, listed=found.listed)


async def _recover(services: Services, project: str, channel: str, days: int, *, write: bool) -> Recovery:
    clients = ChannelClients(services.plugins, services.clock, shared=services.shared_pace)
    reconciler = Reconciler(
        services.store,
        services.clock,
        services.projects,
        services.plugins,
        http=clients,
        announce=lambda _: None,
    )
    now = services.clock.now()
    try:
        return await reconciler.recover(project, channel, now - timedelta(days=days), now, is_dry_run=not write)
    finally:
        await clients.close()
