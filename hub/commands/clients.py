"""``hub clients``: who was joined with whom, and parting them again (X12)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
import uvloop
from sqlalchemy import Connection

from hub.commands.context import (
    JsonOption,
    LanguageOption,
    ProjectOption,
    bring_directory,
    console,
    opened,
    print_json,
    the_project,
)
from hub.commands.moment import parse_moment
from hub.core.interaction import ClientId
from hub.core.policy import Policy
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.language import as_language, translator
from hub.runtime.account import Account
from hub.runtime.opening import open_account
from hub.runtime.parting import Link, Partings, Undoing
from hub.runtime.parting_text import link_json, links_text, undoing_json, undoings_text
from hub.runtime.services import Services
from hub.store import clients

__all__ = ["app", "find_client"]

app = typer.Typer(help="Clients: who was joined with whom, and undoing it.", no_args_is_help=True)

SinceOption = Annotated[str, typer.Option(help="Since then: 30d, 12h, 2026-11-21, '2026-11-21 14:30'.")]


@app.command()
def joins(
    since: SinceOption = "",
    client: Annotated[str, typer.Option(help="Only of this one: a number, or the hub's client id.")] = "",
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Every join of two clients, with its reason.

    And every number that was carried over from a duplicate.
    """
    with opened() as services:
        live, policy = _live(services, project)
        partings = Partings(live, services.directory, {}, {})
        moment = parse_moment(since, option="--since", zone=policy.zone, now=services.clock.now())
        only = find_client(services, live.name, policy, client)
        found = services.store.read_now(lambda conn: partings.listed(conn, since=moment, client_id=only))
        if as_json:
            print_json([link_json(link) for link in found])
        else:
            text = links_text(found, translator(as_language(language)), policy.zone)
            console.print(text, markup=False, highlight=False)


@app.command()
def undo(
    ids: Annotated[list[str] | None, typer.Argument(help="As 'hub clients joins' shows them.")] = None,
    since: SinceOption = "",
    write: Annotated[bool, typer.Option("--write", help="Do it; without, only say what would be done.")] = False,
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Part clients that the hub joined.

    In the hub and, as far as the vendor allows, in the CRM; a dry run first.
    """
    if not ids and not since:
        raise typer.BadParameter("name what is to be undone, or say --since")
    with opened() as services:
        live, policy = _live(services, project)
        moment = parse_moment(since, option="--since", zone=policy.zone, now=services.clock.now())
        found = uvloop.run(_undo(services, live, ids or [], moment is not None, moment, write=write))
        if as_json:
            print_json({"written": write, "undone": [undoing_json(one) for one in found]})
            return
        text = undoings_text(found, translator(as_language(language)), policy.zone, is_written=write)
        console.print(text, markup=False, highlight=False)


async def _undo(
    services: Services, live: LiveProject, ids: list[str], is_all: bool, since: datetime | None, *, write: bool
) -> list[Undoing]:
    accounts = _accounts(services, live)
    try:
        partings = Partings(
            live,
            services.directory,
            {name: account.capabilities for name, account in accounts.items()},
            {name: account.session.record_url for name, account in accounts.items()},
        )
        links = services.store.read_now(lambda conn: partings.listed(conn, since=since))
        wanted = _chosen(links, ids, is_all=is_all)
        now = services.clock.now()
        if not write:
            return [services.store.read_now(lambda conn, link=link: partings.look(conn, link)) for link in wanted]  # type: ignore[misc]
        # the newest first, so that what was joined into a joined client comes back to it; a transaction for each
        return [services.store.write_now(lambda conn, link=link: partings.undo(conn, link, now)) for link in wanted]  # type: ignore[misc]
    finally:
        for account in accounts.values():
            await account.close()


def _chosen(links: list[Link], ids: list[str], *, is_all: bool) -> list[Link]:
    known = {link.id: link for link in links}
    unknown = [id for id in ids if id not in known]
    if unknown:
        raise ConfigurationError(f"there is no join {', '.join(unknown)}: see 'hub clients joins'", path="ID")
    return [link for link in links if link.undone_at is None and (link.id in ids or (is_all and not ids))]


def _accounts(services: Services, live: LiveProject) -> dict[str, Account]:
    """The connections as far as they can be opened; nobody is asked."""
    found = {}
    for connection in live.connections:
        try:
            found[connection.name] = open_account(services, live, connection)
        except ConfigurationError:
            # its plugin is gone: what was joined is parted all the same, its cards have no address
            continue
    return found


def _live(services: Services, project: str) -> tuple[LiveProject, Policy]:
    live = services.projects.get(the_project(services, project))
    if live.policy is None:
        raise ConfigurationError(live.problem, path=f"project {live.name}")
    bring_directory(services, live)
    return live, live.policy


def find_client(services: Services, project: str, policy: Policy, text: str) -> ClientId | None:
    """The client with this number or id; None for ""; ConfigurationError if there is none."""
    if not text:
        return None

    def find(conn: Connection) -> clients.Client | None:
        phone = policy.phone(text)
        known = clients.find_by_phone(conn, project, phone) if phone else None
        return known or clients.find(conn, ClientId(text))

    found = services.store.read_now(find)
    if found is None or found.project != project:
        raise ConfigurationError(
            f"project {project!r} knows no client {text!r}: give a number or the hub's client id", path="--client"
        )
    return found.id
