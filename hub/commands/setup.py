"""``hub setup``: the guided set-up at the terminal; it asks what the pages at /setup ask (H12)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.table import Table

from hub.commands.context import console, fail, opened, say, speaker
from hub.errors import ConfigurationError, HubError, VendorError
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


def _title(number: int, text: str, **values: object) -> None:
    console.print()
    console.print(f"[bold cyan]{number}[/bold cyan] [bold]{escape(speaker().phrase(text, **values))}[/bold]")


def _ask(question: str, **options: Any) -> str:
    return str(Prompt.ask(escape(speaker().phrase(question)), console=console, **options))


def _is_wanted(question: str, *, default: bool, **values: object) -> bool:
    return Confirm.ask(escape(speaker().phrase(question, **values)), default=default, console=console)


async def _administrator(services: Services) -> None:
    _title(1, "The first administrator")
    if not await setup.needs_administrator(services):
        say("There are users already.", style="dim")
        return
    token = setup.first_token(services.cipher)
    while True:
        login = _ask("Login", default="admin")
        password = _ask("Password (at least 10 characters)", password=True)
        language = _ask("Language of the console", choices=["ru", "uk", "en"], default=speaker().language)
        try:
            await setup.create_administrator(
                services,
                token=token,
                login=login,
                password=password,
                language=language,  # type: ignore[arg-type]  # one of the choices
            )
        except ConfigurationError as err:
            console.print(speaker().theirs(str(err)), style="red", markup=False)
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
        if len(known) == 1 and not _is_wanted("Make another one?", default=False):
            return known[0]
        name = _ask("Which one, or a new name", default=known[0])
        if name in known:
            return name
    else:
        name = _ask("Name, for addresses (letters, digits, -)", default="main")
    presets = setup.list_presets()
    for preset in presets:
        console.print(f"    {preset.name:18} {preset.title}", highlight=False)
    say("    Read one whole: hub policy preset NAME", style="dim")
    live = await setup.create_project(
        services,
        name=name,
        title=_ask("Company", default=name),
        preset=_ask("Preset", choices=[preset.name for preset in presets]),
        language=_ask(  # type: ignore[arg-type]  # one of the choices
            "Language of texts in the CRM", choices=["ru", "uk", "en"], default="ru"
        ),
        region=_ask("Country of numbers typed without one", default="UA"),
        time_zone=_ask("Time zone", default="Europe/Kyiv"),
        author="setup",
    )
    return live.name


async def _crms(services: Services, project: str) -> list[str]:
    """The connections to go on with: all there are, and the one that is added now."""
    _title(4, "The CRM")
    live = services.projects.get(project)
    for connection in live.connections:
        console.print(f"{connection.name}: {connection.row.status.value} {connection.row.status_reason}", style="dim")
    known = [connection.name for connection in live.connections]
    if known and not _is_wanted("Connect another one?", default=False):
        return known
    sinks = sorted(services.plugins.sinks)
    if not sinks:
        say("No CRM plugin is installed.", style="red")
        return known
    sink_name = _ask("Which", choices=sinks, default=sinks[0])
    sink = services.plugins.sink(sink_name)
    values = _ask_settings(sink.settings_model)
    row = await setup.add_connection(services, project, name=sink_name, sink=sink_name, values=values)
    if isinstance(sink, HasOAuth) and not any("token" in name for name in values):
        base = services.settings.public_url
        say("Redirect address to copy: {address}", address=f"{base}/oauth/{sink_name}/callback")
        say("Then start the hub and press 'connect' at {address}", address=f"{base}/setup/{project}")
        return [*known, row.name]
    try:
        connected = await setup.connect(services, project, row.name)
    except VendorError as err:
        say("{problem}", lead="The CRM does not let us in:", style="red", problem=speaker().theirs(str(err)))
        return known
    catalogue = connected.catalogue
    users = len(catalogue.users)
    say("{account}: {users} users", lead="Connected", style="green", account=catalogue.account_name, users=users)
    for warning in catalogue.warnings:
        say("{said}", lead="note", style="yellow", said=speaker().theirs(warning))
    return [*known, row.name]


def _ask_settings(model: type[BaseModel]) -> dict[str, Any]:
    """Ask for what has no useful default; Enter leaves a value out."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        if not field.is_required() and (default != "" or (field.description or "").startswith("Filled in")):
            continue
        is_secret = field.annotation is SecretStr
        title, note = (escape(speaker().theirs(text or "")) for text in (field.title or name, field.description))
        console.print(f"{title}  [dim]{note}[/dim]")
        text = _ask("  ", default="", password=is_secret, show_default=False)
        if text:
            values[name] = text
    return values


async def _channels(services: Services, project: str) -> list[str]:
    """The channels to go on with: all there are, and the one that is added now."""
    _title(5, "The channel")
    known = list(services.projects.get(project).channels)
    if known and not _is_wanted("There is {names}. Add another one?", default=False, names=", ".join(known)):
        return known
    sources = sorted(services.plugins.sources)
    if not sources:
        say("No channel plugin is installed.", style="red")
        return known
    source_name = _ask("Which", choices=sources, default=sources[0])
    values = _ask_settings(services.plugins.source(source_name).settings_model)
    row = await setup.add_channel(services, project, name=source_name, source=source_name, values=values)
    return [*known, row.name]


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
        chosen = _ask("  take", default="", show_default=False)
        if chosen in options:
            await staffing.bind(services, project, connection, {(one.kind, one.key): options[chosen]})


async def _people(services: Services, project: str, connection: str) -> None:
    _title(7, "Employees: {connection}", connection=connection)
    try:
        matching = await staffing.match_staff(services, project, connection)
    except HubError as err:
        say("{problem}", lead="The channel could not be asked:", style="yellow", problem=speaker().theirs(str(err)))
        console.print("Add [[employees]] blocks to the policy by hand: hub policy export, edit, hub policy import.")
        return
    table = Table(*map(speaker().phrase, ("in the channel", "CRM user", "matched by")))
    for pair in matching.pairs:
        table.add_row(pair.listed.name, pair.user.name, speaker()(f"by.{pair.by}"))
    console.print(table)
    for listed in matching.unmatched:
        who = f"{listed.name} {listed.email}"
        say("{who}", lead="nobody in the CRM:", style="yellow", who=who)
    for user in matching.left:
        say("nobody in the channel: {who}", style="dim", who=f"{user.name} {user.email}")
    if not matching.pairs:
        return
    if _is_wanted("Write these pairs into the policy?", default=True):
        by_name: Mapping[str, str] = {pair.user.name: pair.user.id for pair in matching.pairs}
        say("The senior gets what nobody else owns: {names}", style="dim", names=", ".join(by_name))
        senior = _ask("Senior", default="", show_default=False)
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
