"""``hub sync``: read a CRM account wholly into the directory, by hand (H6)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from hub.commands.context import Exit, console, copies_of, fail, opened, print_json, say, speaker, the_project
from hub.runtime import importer as importing
from hub.runtime.feeds import Feed
from hub.runtime.importer import Importer
from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.store import cluster

__all__ = ["sync"]


def sync(*, connection: str, afresh: bool, project: str, as_json: bool) -> None:
    """Import one connection of the project, showing how far it is."""
    with opened() as services:
        name = the_project(services, project)
        if not services.store.is_sqlite:
            _refuse_beside_workers(services, name)
        found = asyncio.run(_sync(services, name, connection, afresh=afresh, quiet=as_json))
        if as_json:
            print_json({"records": found.records, "requests": found.requests, "done": found.is_done})
        else:
            say("{records} records in {requests} requests.", records=found.records, requests=found.requests)


def _refuse_beside_workers(services: Services, project: str) -> None:
    """A worker keeps the records of its accounts itself, and would not hear of what came past it (H9)."""
    stalled = timedelta(seconds=services.settings.stalled_seconds)
    for peer in services.store.read_now(lambda conn: cluster.peers(conn, stalled)):
        if project in peer.owns:
            raise fail(
                f"a worker on {peer.host} has {project} and reads its CRMs by itself: stop the workers while you do it"
                " by hand",
                Exit.FOUND,
            )


async def _sync(services: Services, project: str, connection: str, *, afresh: bool, quiet: bool) -> importing.Progress:
    live = services.projects.get(project)
    known = [found.name for found in live.connections]
    if not known:
        raise fail(f"the project {live.name} has no CRM yet: connect one with 'hub setup'")
    if connection and connection not in known:
        raise fail(f"the project {live.name} has no CRM called {connection!r}; there is {', '.join(known)}")
    if not connection and len(known) > 1:
        raise fail(f"the project {live.name} has several CRMs, say which with --connection: {', '.join(known)}")
    chosen = [found for found in live.connections if connection in ("", found.name)]
    account = open_account(services, live, chosen[0])
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    copies = None if services.store.is_sqlite else copies_of(services)
    if copies is not None:
        await copies.own(live.name, account.name)
    try:
        with Progress(*columns, console=console, disable=quiet) as shown:
            task = shown.add_task(speaker().phrase("Reading {name}", name=chosen[0].name), total=1.0)
            feed = Feed(account, services.store, services.clock, sink=services.plugins.sink(account.sink))
            importer = Importer(
                account,
                services.store,
                services.clock,
                directory=services.settings.directory_path,
                begin_feed=feed.ensure_started,
                plugins=services.settings.plugins,
                progressed=lambda found: shown.update(task, completed=found.share),
                tell=None if copies is None else partial(copies.tell, live.name, account.name),
            )
            return await importer.run(afresh=afresh)
    finally:
        await account.close()
