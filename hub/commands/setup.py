"""``hub setup``: the guided set-up at the terminal; it asks what the pages at /setup ask (H12)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from rich.prompt import Confirm, Prompt
from rich.table import Table

from hub.commands.context import console, fail, opened
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
    console.print("[bold]Next[/bold]  start the hub: hub run")
    console.print("      try a call without writing: hub test-call NUMBER --answered-by EMPLOYEE")
    if services.projects.get(project).row.mode != "live":
        console.print("      it only watches yet (shadow); switch to live in the console when you trust it")


def _title(number: int, text: str) -> None:
    console.print()
    console.print(f"[bold cyan]{number}[/bold cyan] [bold]{text}[/bold]")


async def _administrator(services: Services) -> None:
    _title(1, "The first administrator")
    if not await setup.needs_administrator(services):
        console.print("There are users already.", style="dim")
        return
    token = setup.first_token(services.cipher)
    while True:
        login = Prompt.ask("Login", default="admin", console=console)
        password = Prompt.ask("Password (at least 10 characters)", password=True, console=console)
        language = Prompt.ask("Language of the console", choices=["ru", "uk", "en"], default="en", console=console)
        try:
            await setup.create_administrator(
                services,
                token=token,
                login=login,
                password=password,
                language=language,  # type: ignore[arg-type]  # one of the choices
            )
        except ConfigurationError as err:
            console.print(f"[red]{err}[/red]")
            continue
        return


async def _address(services: Services) -> None:
    _title(2, "The public address")
    if not services.settings.public_url:
        console.print("Set HUB_PUBLIC_URL to the https address under which vendors reach the hub, such as")
        console.print("    export HUB_PUBLIC_URL=https://hub.example.com")
        console.print("Without it webhooks of the CRM are not subscribed, and the addresses below are incomplete.")
        return
    console.print(f"{services.settings.public_url} (checked at /setup, once the hub runs)")


async def _project(services: Services) -> str:
    _title(3, "The project and its policy")
    known = [project.name for project in services.projects.all()]
    if known:
        console.print(f"Projects: {', '.join(known)}", style="dim")
        if len(known) == 1 and not Confirm.ask("Make another one?", default=False, console=console):
            return known[0]
        name = Prompt.ask("Which one, or a new name", default=known[0], console=console)
        if name in known:
            return name
    else:
        name = Prompt.ask("Name, for addresses (letters, digits, -)", default="main", console=console)
    presets = setup.list_presets()
    for preset in presets:
        console.print(f"    {preset.name:18} {preset.title}", highlight=False)
    console.print("    Read one whole: hub policy preset NAME", style="dim", highlight=False)
    live = await setup.create_project(
        services,
        name=name,
        title=Prompt.ask("Company", default=name, console=console),
        preset=Prompt.ask("Preset", choices=[preset.name for preset in presets], console=console),
        language=Prompt.ask(  # type: ignore[arg-type]  # one of the choices
            "Language of texts in the CRM", choices=["ru", "uk", "en"], default="ru", console=console
        ),
        region=Prompt.ask("Country of numbers typed without one", default="UA", console=console),
        time_zone=Prompt.ask("Time zone", default="Europe/Kyiv", console=console),
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
    if known and not Confirm.ask("Connect another one?", default=False, console=console):
        return known
    sinks = sorted(services.plugins.sinks)
    if not sinks:
        console.print("[red]No CRM plugin is installed.[/red]")
        return known
    sink_name = Prompt.ask("Which", choices=sinks, default=sinks[0], console=console)
    sink = services.plugins.sink(sink_name)
    values = _ask_settings(sink.settings_model)
    row = await setup.add_connection(services, project, name=sink_name, sink=sink_name, values=values)
    if isinstance(sink, HasOAuth) and not any("token" in name for name in values):
        console.print(f"Redirect address to copy: {services.settings.public_url}/oauth/{sink_name}/callback")
        console.print(f"Then start the hub and press 'connect' at {services.settings.public_url}/setup/{project}")
        return [*known, row.name]
    try:
        connected = await setup.connect(services, project, row.name)
    except VendorError as err:
        console.print(f"[red]The CRM does not let us in:[/red] {err}")
        return known
    catalogue = connected.catalogue
    console.print(f"[green]Connected[/green] {catalogue.account_name}: {len(catalogue.users)} users")
    for warning in catalogue.warnings:
        console.print(f"[yellow]note[/yellow] {warning}")
    return [*known, row.name]


def _ask_settings(model: type[BaseModel]) -> dict[str, Any]:
    """Ask for what has no useful default; Enter leaves a value out."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        if not field.is_required() and (default != "" or (field.description or "").startswith("Filled in")):
            continue
        is_secret = field.annotation is SecretStr
        console.print(f"{field.title or name}  [dim]{field.description or ''}[/dim]")
        text = Prompt.ask("  ", default="", password=is_secret, show_default=False, console=console)
        if text:
            values[name] = text
    return values


async def _channels(services: Services, project: str) -> list[str]:
    """The channels to go on with: all there are, and the one that is added now."""
    _title(5, "The channel")
    known = list(services.projects.get(project).channels)
    if known and not Confirm.ask(f"There is {', '.join(known)}. Add another one?", default=False, console=console):
        return known
    sources = sorted(services.plugins.sources)
    if not sources:
        console.print("[red]No channel plugin is installed.[/red]")
        return known
    source_name = Prompt.ask("Which", choices=sources, default=sources[0], console=console)
    values = _ask_settings(services.plugins.source(source_name).settings_model)
    row = await setup.add_channel(services, project, name=source_name, source=source_name, values=values)
    return [*known, row.name]


async def _names(services: Services, project: str, connection: str) -> None:
    _title(6, f"Pipelines, stages and fields by name: {connection}")
    wanted = await staffing.bind_found(services, project, connection)
    missing = [one for one in wanted if not one.value]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} names of the policy were found in the CRM.")
    for one in missing:
        options = {offered.name: offered.id for offered in one.offered}
        console.print(f"[yellow]missing[/yellow] {one.kind} {one.key}")
        if not options:
            continue
        console.print(f"  the CRM has: {', '.join(options)}", style="dim")
        chosen = Prompt.ask("  take", default="", show_default=False, console=console)
        if chosen in options:
            await staffing.bind(services, project, connection, {(one.kind, one.key): options[chosen]})


async def _people(services: Services, project: str, connection: str) -> None:
    _title(7, f"Employees: {connection}")
    try:
        matching = await staffing.match_staff(services, project, connection)
    except HubError as err:
        console.print(f"[yellow]The channel could not be asked:[/yellow] {err}")
        console.print("Add [[employees]] blocks to the policy by hand: hub policy export, edit, hub policy import.")
        return
    table = Table("in the channel", "CRM user", "matched by")
    for pair in matching.pairs:
        table.add_row(pair.listed.name, pair.user.name, pair.by)
    console.print(table)
    for listed in matching.unmatched:
        console.print(f"[yellow]nobody in the CRM[/yellow] {listed.name} {listed.email}")
    for user in matching.left:
        console.print(f"nobody in the channel  {user.name} {user.email}", style="dim")
    if not matching.pairs:
        return
    if Confirm.ask("Write these pairs into the policy?", default=True, console=console):
        by_name: Mapping[str, str] = {pair.user.name: pair.user.id for pair in matching.pairs}
        console.print(f"The senior gets what nobody else owns: {', '.join(by_name)}", style="dim")
        senior = Prompt.ask("Senior", default="", show_default=False, console=console)
        count = await staffing.write_staff(
            services, project, connection, matching.pairs, author="setup", senior=by_name.get(senior, "")
        )
        console.print(f"The policy knows {count} employees now.")


async def _copy(services: Services, project: str, channel: str) -> None:
    _title(8, f"What to enter where you set up {channel}")
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
        console.print(f"[bold]{hint.where}[/bold]")
        if hint.value:
            console.print(f"    {hint.value}", highlight=False, markup=False)
        if hint.note:
            console.print(f"    {hint.note}", style="dim", markup=False)
