"""``hub check``: configuration, plugins, connections: each line is ok, or says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import typer

from hub.commands.context import Exit, console, opened, print_json, speaker
from hub.engine.projects import LiveProject
from hub.errors import HubError
from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.store import inbox, work
from hub.store.inbox import InboxStatus

__all__ = ["Line", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was checked."""

    #: our own words, ``{name}`` stands for `name`
    kind: str
    name: str = ""
    is_ok: bool
    #: what was found, or what to do
    text: str

    @property
    def what(self) -> str:
        """What was checked, in English."""
        return self.kind.replace("{name}", self.name)


def check(*, trace_hooks: bool, offline: bool, as_json: bool) -> None:
    """Print every line; the exit status is 1 if one of them is not ok."""
    with opened() as services:
        lines = [*_plugins(services), *_projects(services)]
        if not offline:
            lines += asyncio.run(_connections(services))
        if as_json:
            print_json([{"what": line.what, "is_ok": line.is_ok, "text": line.text} for line in lines])
        else:
            t = speaker()
            for line in lines:
                # a fixed width: the lines stand below one another
                mark, style = ("ok  ", "green") if line.is_ok else ("mend", "red")
                console.print(t.phrase(mark), style=style, end=" ", highlight=False)
                console.print(t.phrase(line.kind, name=line.name), end="  ", markup=False, highlight=False)
                console.print(t.theirs(line.text), style="dim" if line.is_ok else "", markup=False, highlight=False)
            if trace_hooks:
                for plugin, registered in services.plugins.trace:
                    console.print(f"     {plugin}  {registered}", style="dim", highlight=False)
        if any(not line.is_ok for line in lines):
            raise typer.Exit(int(Exit.FOUND))


def _plugins(services: Services) -> Iterator[Line]:
    plugins = services.plugins
    for name in sorted(plugins.names):
        yield Line(kind="plugin {name}", name=name, is_ok=True, text="loaded")
    for failure in plugins.failures:
        yield Line(kind="plugin {name}", name=failure.plugin, is_ok=False, text=failure.problem)
    public = services.settings.public_url
    yield Line(
        kind="public address",
        is_ok=bool(public) or not services.settings.is_production,
        text=public or "not set: with HUB_PUBLIC_URL, its https address, vendors reach the hub",
    )


def _projects(services: Services) -> Iterator[Line]:
    found = services.projects.all()
    if not found:
        yield Line(kind="projects", is_ok=False, text="there is none yet: run 'hub setup'")
    for project in found:
        text = project.problem or f"version {project.policy_version}, {project.row.mode}"
        if project.row.is_paused:
            text += ", writing is paused"
        yield Line(kind="policy of {name}", name=project.name, is_ok=not project.problem, text=text)
        for name, problem in project.problems.items():
            yield Line(kind="channel {name}", name=f"{project.name}/{name}", is_ok=False, text=problem)
        waiting = len(services.store.read_now(partial(work.attention, project=project.name)))
        if waiting:
            yield Line(
                kind="needs attention in {name}",
                name=project.name,
                is_ok=False,
                text=f"interactions: {waiting}; see /console/, then 'hub replay --write'",
            )
        counts = services.store.read_now(partial(inbox.counts, project=project.name))
        unread = sum(counts.get(status, 0) for status in (InboxStatus.UNREADABLE, InboxStatus.FAILED))
        if unread:
            yield Line(
                kind="needs attention in {name}",
                name=project.name,
                is_ok=False,
                text=f"webhooks that could not be read: {unread}; see /console/, where the field at fault is named",
            )


async def _connections(services: Services) -> list[Line]:
    return [await _connection(services, project, name) for project, name in _named(services)]


def _named(services: Services) -> list[tuple[LiveProject, str]]:
    return [(project, connection.name) for project in services.projects.all() for connection in project.connections]


async def _connection(services: Services, project: LiveProject, name: str) -> Line:
    """Ask the CRM for its catalogue: the cheapest question that proves credentials, address and rights."""
    line = partial(Line, kind="CRM {name}", name=f"{project.name}/{name}")
    found = project.connection(name)
    assert found is not None
    try:
        account = open_account(services, project, found)
        try:
            catalogue = await account.session.catalogue()
        finally:
            await account.close()
    except HubError as err:
        return line(is_ok=False, text=str(err))
    if account.vendor_clock.is_wrong:
        seconds = account.vendor_clock.ahead.total_seconds()
        side = "ahead of" if seconds > 0 else "behind"
        return line(is_ok=False, text=f"this machine's clock is {abs(seconds):.0f} s {side} the CRM's: set it")
    unbound = sorted(employee for employee in found.inactive - found.userless if not employee.startswith("@"))
    if unbound:
        who = ", ".join(f"{found.names[employee]} ({employee})" for employee in unbound)
        what_to_do = f'match them in the set-up, or say crm_users = {{ {name} = "" }} of who shall have none'
        return line(is_ok=False, text=f"no active user for {who}: {what_to_do}")
    return line(is_ok=True, text=f"{catalogue.account_name}: {len(catalogue.users)} users")
