"""``hub``: the command line. Argument parsing only; what a command does stands in `hub.commands`."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from hub.commands import check as check_command
from hub.commands import clients as clients_command
from hub.commands import database as database_command
from hub.commands import explain as explain_command
from hub.commands import plugin as plugin_command
from hub.commands import policy as policy_command
from hub.commands import replay as replay_command
from hub.commands import run as run_command
from hub.commands import user as user_command
from hub.commands import widget as widget_command
from hub.commands.context import JsonOption, LanguageOption, ProjectOption, quietly
from hub.core.interaction import Disposition
from hub.language import as_language
from hub.logs import tell_plainly

__all__ = ["app", "main"]

app = typer.Typer(
    name="hub",
    help="The hub between the channels where clients turn to you and the CRM where you work.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)
app.add_typer(clients_command.app, name="clients")
app.add_typer(database_command.app, name="db")
app.add_typer(policy_command.app, name="policy")
app.add_typer(plugin_command.app, name="plugin")
app.add_typer(user_command.app, name="user")
app.add_typer(widget_command.app, name="widget")


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"hub {version('crm-hub')}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Tell which version this is.")
    ] = False,
) -> None:
    """What may be said before any command."""


@app.command()
def run(
    role: Annotated[
        Literal["all", "web", "worker"] | None, typer.Option(help="What this process does; default: HUB_ROLE, all.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; default: HUB_HOST, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one; default: HUB_PORT, 8080.")] = None,
) -> None:
    """Run the hub until it is stopped."""
    run_command.run(role=role, host=host, port=port)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the day instead of serving on.")] = False,
    as_json: JsonOption = False,
    preset: Annotated[str, typer.Option(help="Which ready policy.")] = "car-dealer",
    calls: Annotated[int, typer.Option(min=1, help="About how many calls the day has.")] = 150,
    seed: Annotated[int, typer.Option(help="Another seed, another day.")] = 7,
    port: Annotated[int, typer.Option(help="Where the console listens; 0 takes a free port.")] = 8080,
    data: Annotated[Path | None, typer.Option(help="An empty folder to keep the databases in.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel; may be repeated. Default: all.")] = None,
    crm: Annotated[list[str] | None, typer.Option(help="Only this CRM; may be repeated. Default: all.")] = None,
    language: LanguageOption = "",
) -> None:
    """Play a day of calls, chats and messages; show what came of it.

    Everything goes over HTTP, into the CRMs' sandboxes; without --once the hub serves on afterwards.
    """
    from hub.commands import demo as demo_command
    from hub.demo.play import DemoOptions

    options = DemoOptions(
        language=as_language(language),
        preset=preset,
        calls=calls,
        seed=seed,
        port=port,
        is_once=once,
        is_json=as_json,
        data=data,
    )
    demo_command.demo(replace(options, channels=tuple(channel or options.channels), crms=tuple(crm or options.crms)))


@app.command()
def explain(
    interaction: Annotated[str, typer.Argument(help="Interaction id, or the telephony's call id.")] = "",
    forwarding: Annotated[
        str, typer.Option(help="Instead: the forwarding answers to this question, call or number.")
    ] = "",
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Tell why here: facts, candidates, the rule that won, what came.

    Of one interaction, or of the forwarding answers to one caller: with what was sent and what the CRM answered.
    """
    if bool(forwarding) == bool(interaction):
        raise typer.BadParameter("name an interaction, or say --forwarding with a question, call or number")
    if forwarding:
        explain_command.explain_forwarding(forwarding, language=language, project=project, as_json=as_json)
        return
    explain_command.explain(interaction, language=language, project=project, as_json=as_json)


@app.command()
def check(
    trace_hooks: Annotated[bool, typer.Option("--trace-hooks", help="Show each registration.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the CRMs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check settings, plugins, connections: ok, or what to do.

    Asks each CRM once; the exit status is 1 if a line is not ok.
    """
    check_command.check(trace_hooks=trace_hooks, offline=offline, as_json=as_json)


@app.command()
def replay(
    interaction: Annotated[
        str, typer.Argument(help="Interaction id; with no filter either: all that need attention.")
    ] = "",
    connection: Annotated[str, typer.Option(help="Only in this CRM.")] = "",
    channel: Annotated[str, typer.Option(help="Only from this channel.")] = "",
    kind: Annotated[Literal["call", "form", "chat", "message"] | None, typer.Option(help="Only these.")] = None,
    disposition: Annotated[Disposition | None, typer.Option(help="Only calls that ended so.")] = None,
    employee: Annotated[str, typer.Option(help="Whose they are, who talked, or who got a task of them.")] = "",
    row: Annotated[str, typer.Option(help="Only what this row of the matrix decided.")] = "",
    state: Annotated[Literal["finished", "attention"] | None, typer.Option(help="Only what stands so.")] = None,
    client: Annotated[str, typer.Option(help="A number, or the hub's client id.")] = "",
    since: Annotated[str, typer.Option(help="Begun since: 30d, 12h, 2026-11-21, '2026-11-21 14:30'.")] = "",
    until: Annotated[str, typer.Option(help="Begun before; written alike.")] = "",
    rules: Annotated[
        Literal["now", "then"], typer.Option(help="By today's policy, or the one that decided first.")
    ] = "now",
    write: Annotated[bool, typer.Option("--write", help="Do it; without, only say what would be done.")] = False,
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Decide interactions anew: one, a filter, a period. What was already done is not repeated."""
    chosen = replay_command.Filter(
        interaction=interaction,
        connection=connection,
        channel=channel,
        kind=kind or "",
        disposition=disposition.value if disposition else "",
        employee=employee,
        row=row,
        state=state or "",
        client=client,
        since=since,
        until=until,
    )
    replay_command.replay(chosen, rules=rules, write=write, language=language, project=project, as_json=as_json)


@app.command()
def rehearse(
    policy: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The changed policy, in TOML.")],
    since: Annotated[str, typer.Option(help="The past from then: 30d, 12h, 2026-11-21, '2026-11-21 14:30'.")] = "30d",
    until: Annotated[str, typer.Option(help="Up to then; left out: up to now.")] = "",
    channel: Annotated[str, typer.Option(help="Count only what came by this channel.")] = "",
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Try a changed policy on the past before it is published.

    Who gains, who loses, what nobody would own, and what cannot be known.
    """
    from hub.commands.rehearse import run_rehearsal

    run_rehearsal(
        policy=policy,
        since=since,
        until=until,
        channel=channel,
        language=as_language(language),
        project=project,
        as_json=as_json,
    )


@app.command()
def shadow(
    since: Annotated[str, typer.Option(help="Decided since: 30d, 12h, 2026-11-21, '2026-11-21 14:30'.")] = "7d",
    until: Annotated[str, typer.Option(help="Up to then; left out: up to now.")] = "",
    channel: Annotated[str, typer.Option(help="Only what came by this channel.")] = "",
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Compare what shadow decided with what was done in the CRM.

    Of a project that only watches, beside another integration that writes.
    """
    from hub.commands.rehearse import run_shadow

    run_shadow(
        since=since, until=until, channel=channel, language=as_language(language), project=project, as_json=as_json
    )


@app.command(name="test-call")
def try_call_now(
    number: Annotated[str, typer.Argument(help="The caller, typed as you like.")],
    answered_by: Annotated[str, typer.Option("--answered-by", help="Employee who answers; left out: missed.")] = "",
    line: Annotated[str, typer.Option(help="The company's number that was dialled.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Really write it to the CRM.")] = False,
    language: LanguageOption = "",
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """What would happen if NUMBER called now, and why.

    The forwarding answer, the plan and its reasons; nothing is written without --write.
    """
    from hub.commands.try_call import try_call

    try_call(
        number,
        answered_by=answered_by,
        line=line,
        write=write,
        language=language,
        project=project,
        as_json=as_json,
    )


@app.command()
def setup() -> None:
    """Set up step by step: project, CRM, channel, employees.

    Asks what the pages at /setup ask, with the addresses to copy; it can be run again.
    """
    from hub.commands.setup import set_up

    quietly(set_up)


@app.command()
def sync(
    connection: Annotated[str, typer.Option(help="Which CRM; may be left out if there is one.")] = "",
    afresh: Annotated[bool, typer.Option("--afresh", help="Forget how far an earlier reading came.")] = False,
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Read a CRM account wholly into the directory."""
    from hub.commands.sync import sync as sync_now

    sync_now(connection=connection, afresh=afresh, project=project, as_json=as_json)


@app.command()
def recover(
    days: Annotated[int, typer.Option(min=1, max=366, help="How far back.")] = 1,
    channel: Annotated[str, typer.Option(help="Which channel; may be left out if there is one.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Do it; without, only say what is missing.")] = False,
    project: ProjectOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take in what a channel's own log knows and the hub does not.

    Such as calls whose webhook never came; a dry run first.
    """
    from hub.commands.recover import recover as recover_now

    recover_now(days=days, channel=channel, write=write, project=project, as_json=as_json)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="Folder that the copies go to; made if missing.")],
) -> None:
    """Copy the databases while the hub runs."""
    run_command.backup(target)


def main() -> None:
    """The entry point of the ``hub`` command."""
    tell_plainly()
    app()


if __name__ == "__main__":
    main()
