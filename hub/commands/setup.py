"""``hub setup``: the guided set-up at the terminal; it asks what the pages at /setup ask (H12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from rich.markup import escape
from rich.table import Table

from hub.commands.asking import ask, ask_settings, is_wanted
from hub.commands.context import console, fail, opened, say, speaker
from hub.errors import ConfigurationError, HubError
from hub.ports import HasOAuth
from hub.runtime import setup, staffing
from hub.runtime.services import Services

__all__ = ["set_up"]


def set_up() -> None:
    """Ask step by step; what is done already is shown and passed over, so it can be run again."""
    with opened() as services:
        try:
            asyncio.run(_steps(services))
        except EOFError:
            console.print()
            raise fail(
                "the set-up asks, and nobody answers here: run it at a terminal, or open /setup in a browser while "
                "'hub run' runs; either goes on where this stopped"
            ) from None


async def _steps(services: Services) -> None:
    await _administrator(services)
    await _address(services)
    project = await _project(services)
    connections = await _crms(services, project)
    channels = await _channels(services, project)
    for connection in connections:
        await _names(services, project, connection)
        await _people(services, project, connection)
    for channel in channels:
        await _copy(services, project, channel)
    console.print()
    say("start the hub: hub run", lead="Next:", style="bold")
    say("try a call without writing: hub test-call NUMBER --answered-by EMPLOYEE")
    if services.projects.get(project).row.mode != "live":
        say("it only watches yet (shadow); switch to live in the console when you trust it")
    for channel in channels:
        await _first_webhook(services, project, channel)


def _title(number: int, text: str, **values: object) -> None:
    console.print()
    console.print(f"[bold cyan]{number}[/bold cyan] [bold]{escape(speaker().phrase(text, **values))}[/bold]")


def _refused(err: ConfigurationError) -> None:
    console.print(speaker().theirs(str(err)), style="red", markup=False)


async def _administrator(services: Services) -> None:
    _title(1, "The first administrator")
    if not await setup.needs_administrator(services):
        say("There are users already.", style="dim")
        return
    token = setup.first_token(services.cipher)
    while True:
        login = ask("Login", default="admin")
        password = ask("Password (at least 10 characters)", password=True)
        language = ask("Language of the console", choices=["ru", "uk", "en"], default=speaker().language)
        try:
            await setup.create_administrator(
                services,
                token=token,
                login=login,
                password=password,
                language=language,  # type: ignore[arg-type]  # one of the choices
            )
        except ConfigurationError as err:
            _refused(err)
            continue
        return


async def _address(services: Services) -> None:
    _title(2, "The public address")
    if not services.settings.public_url:
        say("Set HUB_PUBLIC_URL to the https address under which vendors reach the hub, such as")
        say("    export HUB_PUBLIC_URL=https://hub.example.com")
        say("Without it webhooks of the CRM are not subscribed, and the addresses below are incomplete.")
        return
    say("{address} (checked at /setup, once the hub runs)", address=services.settings.public_url)


async def _project(services: Services) -> str:
    _title(3, "The project and its policy")
    known = [project.name for project in services.projects.all()]
    if known:
        say("Projects: {names}", style="dim", names=", ".join(known))
        if len(known) == 1 and not is_wanted("Make another one?", default=False):
            return known[0]
        name = ask("Which one, or a new name", default=known[0])
        if name in known:
            return name
    else:
        name = ask("Name, for addresses (letters, digits, -)", default="main")
    presets = setup.list_presets()
    for preset in presets:
        console.print(f"    {preset.name:18} {preset.title}", highlight=False)
    say("    Read one whole: hub policy preset NAME", style="dim")
    while True:
        try:
            live = await setup.create_project(
                services,
                name=name,
                title=ask("Company", default=name),
                preset=ask("Preset", choices=[preset.name for preset in presets]),
                language=ask(  # type: ignore[arg-type]  # one of the choices
                    "Language of texts in the CRM", choices=["ru", "uk", "en"], default="ru"
                ),
                region=ask("Country of numbers typed without one", default="UA"),
                time_zone=ask("Time zone", default="Europe/Kyiv"),
                author="setup",
            )
        except ConfigurationError as err:
            _refused(err)
            if err.path == "name":
                name = ask("Name, for addresses (letters, digits, -)", default="main")
            continue
        return live.name


async def _crms(services: Services, project: str) -> list[str]:
    """The connections to go on with: all that we were let into, the one that is added now among them."""
    _title(4, "The CRM")
    known = services.projects.get(project).connections
    for connection in known:
        console.print(f"{connection.name}: {connection.row.status.value} {connection.row.status_reason}", style="dim")
    for connection in known:
        name = connection.name
        if is_wanted("Change the settings of {name}?", default=False, name=name):
            await _change_crm(services, project, name)
            await _connect(services, project, name)
        elif not connection.row.catalogue and is_wanted("Connect {name} now?", default=True, name=name):
            await _connect(services, project, name)
    if not known or is_wanted("Connect another one?", default=False):
        await _add_crm(services, project)
    return [found.name for found in services.projects.get(project).connections if found.row.catalogue]


async def _add_crm(services: Services, project: str) -> None:
    sinks = sorted(services.plugins.sinks)
    if not sinks:
        say("No CRM plugin is installed.", style="red")
        return
    sink_name = ask("Which", choices=sinks, default=sinks[0])
    sink = services.plugins.sink(sink_name)
    name = _free_name(sink_name, [found.name for found in services.projects.get(project).connections])

    async def add(values: Mapping[str, Any]) -> None:
        await setup.add_connection(services, project, name=name, sink=sink_name, values=values)

    values = await _stored(sink.settings_model, {}, add)
    if isinstance(sink, HasOAuth) and not any(value for field, value in values.items() if "token" in field):
        base = services.settings.public_url
        say("Redirect address to copy: {address}", address=f"{base}/oauth/{sink_name}/callback")
        say("Then start the hub and press 'connect' at {address}", address=f"{base}/setup/{project}")
        return
    await _connect(services, project, name)


async def _connect(services: Services, project: str, name: str) -> None:
    """Look into the account; while it does not let us in, its settings can be changed."""
    while True:
        try:
            connected = await setup.connect(services, project, name)
            break
        except HubError as err:
            say("{problem}", lead="The CRM does not let us in:", style="red", problem=speaker().theirs(str(err)))
        if not is_wanted("Change its settings and try again?", default=True):
            return
        await _change_crm(services, project, name)
    catalogue = connected.catalogue
    users = len(catalogue.users)
    say("{account}: {users} users", lead="Connected", style="green", account=catalogue.account_name, users=users)
    for warning in catalogue.warnings:
        say("{said}", lead="note", style="yellow", said=speaker().theirs(warning))


async def _change_crm(services: Services, project: str, name: str) -> None:
    row = next(found.row for found in services.projects.get(project).connections if found.name == name)

    async def change(values: Mapping[str, Any]) -> None:
        await setup.change_connection(services, project, name, values)

    await _stored(services.plugins.sink(row.sink).settings_model, row.settings, change)


async def _stored(
    model: type[BaseModel], before: Mapping[str, Any], store: Callable[[Mapping[str, Any]], Awaitable[None]]
) -> Mapping[str, Any]:
    """The settings that a person gave and ``store`` took; what it refuses is asked for again."""
    values, error = before, None
    while True:
        values = ask_settings(model, values, error=error)
        try:
            await store(values)
        except ConfigurationError as err:
            error = err
            continue
        return values


def _free_name(wanted: str, taken: Sequence[str]) -> str:
    """``wanted``, or what a person calls a second one."""
    name = wanted
    while name in taken:
        try:
            name = setup.name_of(ask("Name, for addresses (letters, digits, -)", default=f"{wanted}-2"), "name")
        except ConfigurationError as err:
            _refused(err)
    return name


async def _channels(services: Services, project: str) -> list[str]:
    """The channels to go on with: all there are, and the one that is added now."""
    _title(5, "The channel")
    known = list(services.projects.get(project).channels)
    for name in known:
        if is_wanted("Change the settings of {name}?", default=False, name=name):
            await _change_channel(services, project, name)
    if known and not is_wanted("There is {names}. Add another one?", default=False, names=", ".join(known)):
        return known
    sources = sorted(services.plugins.sources)
    if not sources:
        say("No channel plugin is installed.", style="red")
        return known
    source_name = ask("Which", choices=sources, default=sources[0])
    name = _free_name(source_name, known)

    async def add(values: Mapping[str, Any]) -> None:
        await setup.add_channel(services, project, name=name, source=source_name, values=values)

    await _stored(services.plugins.source(source_name).settings_model, {}, add)
    return [*known, name]


async def _change_channel(services: Services, project: str, name: str) -> None:
    found = await setup.find_channel(services, project, name)

    async def change(values: Mapping[str, Any]) -> None:
        await setup.change_channel(services, project, name, values)

    await _stored(services.plugins.source(found.source).settings_model, found.settings, change)


async def _names(services: Services, project: str, connection: str) -> None:
    _title(6, "Pipelines, stages and fields by name: {connection}", connection=connection)
    wanted = await staffing.bind_found(services, project, connection)
    missing = [one for one in wanted if not one.value]
    count = len(wanted) - len(missing)
    say("{count} of {all} names of the policy were found in the CRM.", count=count, all=len(wanted))
    for one in missing:
        options = {offered.name: offered.id for offered in one.offered}
        kind = speaker()(f"names.{one.kind}")
        say("{kind} {key}", lead="missing", style="yellow", kind=kind, key=one.key)
        if not options:
            continue
        say("  the CRM has: {names}", style="dim", names=", ".join(options))
        chosen = ask("  take", default="", show_default=False)
        if chosen in options:
            await staffing.bind(services, project, connection, {(one.kind, one.key): options[chosen]})


async def _people(services: Services, project: str, connection: str) -> None:
    _title(7, "Employees: {connection}", connection=connection)
    try:
        matching = await staffing.match_staff(services, project, connection)
    except HubError as err:
        say("{problem}", lead="The channel could not be asked:", style="yellow", problem=speaker().theirs(str(err)))
        say("Change the channel's settings, or add [[employees]] blocks to the policy by hand:")
        say("    hub policy export, edit, hub policy import")
        return
    if not matching.pairs and not matching.unmatched:
        say("The channel lists no employees.")
    table = Table(*map(speaker().phrase, ("in the channel", "CRM user", "matched by")))
    for pair in matching.pairs:
        table.add_row(pair.listed.name, pair.user.name, speaker()(f"by.{pair.by}"))
    if matching.pairs:
        console.print(table)
    for listed in matching.unmatched:
        who = f"{listed.name} {listed.email}"
        say("{who}", lead="nobody in the CRM:", style="yellow", who=who)
    for user in matching.left:
        say("nobody in the channel: {who}", style="dim", who=f"{user.name} {user.email}")
    if not matching.pairs:
        return
    if is_wanted("Write these pairs into the policy?", default=True):
        by_name: Mapping[str, str] = {pair.user.name: pair.user.id for pair in matching.pairs}
        say("The senior gets what nobody else owns: {names}", style="dim", names=", ".join(by_name))
        senior = ask("Senior", default="", show_default=False)
        count = await staffing.write_staff(
            services, project, connection, matching.pairs, author="setup", senior=by_name.get(senior, "")
        )
        say("The policy knows {count} employees now.", count=count)


async def _copy(services: Services, project: str, channel: str) -> None:
    _title(8, "What to enter where you set up {channel}", channel=channel)
    row = await setup.find_channel(services, project, channel)
    base = services.settings.public_url or "https://YOUR-ADDRESS"
    hints = setup.hints(
        services,
        project,
        channel,
        hook_url=f"{base}/hooks/{project}/{channel}/{row.secret}",
        forward_url=f"{base}/forward/{project}/{channel}/{row.secret}",
    )
    for hint in hints:
        console.print(speaker().theirs(hint.where), style="bold", markup=False)
        if hint.value:
            console.print(f"    {hint.value}", highlight=False, markup=False)
        if hint.note:
            console.print(f"    {speaker().theirs(hint.note)}", style="dim", markup=False)


async def _first_webhook(services: Services, project: str, channel: str) -> None:
    """Wait for what the vendor sends, as the page does, if that is wanted: a hub must run meanwhile."""
    _title(9, "The first webhook of {channel}", channel=channel)
    last = await setup.last_webhook(services, project, channel)
    if last is None:
        if not is_wanted("Wait here until it comes? 'hub run' must run in another terminal", default=False):
            return
        say("Waiting for the first webhook; Ctrl+C ends this.", style="dim")
        while last is None:
            await asyncio.sleep(1)
            last = await setup.last_webhook(services, project, channel)
    t, policy = speaker(), services.projects.get(project).policy
    at = t.moment(last.request.received_at, policy.zone if policy else ZoneInfo("UTC"))
    say("It arrived: {at}", lead="ok  ", style="green", at=at)
