"""``hub sync``: read a CRM account wholly into the directory, by hand (H6)."""

from __future__ import annotations

import asyncio

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from hub.commands.context import console, fail, opened, print_json, the_project
from hub.runtime import importer as importing
from hub.runtime.feeds import Feed
from hub.runtime.importer import Importer
from hub.runtime.opening import open_account
from hub.runtime.services import Services

__all__ = ["sync"]


def sync(*, connection: str, afresh: bool, project: str, as_json: bool) -> None:
    """Import one connection of the project, showing how far it is."""
    with opened() as services:
        name = the_project(services, project)
        found = asyncio.run(_sync(services, name, connection, afresh=afresh, quiet=as_json))
        if as_json:
            print_json({"records": found.records, "requests": found.requests, "done": found.is_done})
        else:
            console.print(f"{found.records} records in {found.requests} requests.")


async def _sync(services: Services, project: str, connection: str, *, afresh: bool, quiet: bool) -> importing.Progress:
    live = services.projects.get(project)
    chosen = [found for found in live.connections if connection in ("", found.name)]
    if len(chosen) != 1:
        known = ", ".join(found.name for found in live.connections) or "none"
        raise fail(f"say which CRM with --connection; known: {known}")
    account = open_account(services, live, chosen[0])
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=quiet) as shown:
            task = shown.add_task(f"Reading {chosen[0].name}", total=1.0)
            feed = Feed(account, services.store, services.clock, sink=services.plugins.sink(account.sink))
            importer = Importer(
                account,
                services.store,
                services.clock,
                directory=services.settings.directory_path,
                begin_feed=feed.ensure_started,
                plugins=services.settings.plugins,
                progressed=lambda found: shown.update(task, completed=found.share),
            )
            return await importer.run(afresh=afresh)
    finally:
        await account.close()
