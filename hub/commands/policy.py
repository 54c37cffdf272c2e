"""``hub policy``: import, export, check, compare and roll back what the project's people decided (DESIGN 6)."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from hub import rules
from hub.commands.context import (
    Exit,
    JsonOption,
    ProjectOption,
    console,
    errors,
    fail,
    opened,
    print_json,
    say,
    speaker,
    the_project,
)
from hub.commands.policy_file import read_policy
from hub.core.consistency import findings
from hub.core.example_check import load_checked
from hub.core.policy import Policy, policy_schema
from hub.errors import ConfigurationError
from hub.plugins import load_plugins
from hub.runtime.services import Services
from hub.runtime.setup import list_presets
from hub.settings import load_settings
from hub.store import policies

__all__ = ["app"]

app = typer.Typer(help="The policy: versions, checks, differences.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A policy in TOML.")]
#: an exported file says on its first line which version it is
_MARK = "# version "
_SAME = "Version {version} of {project} says exactly this already: nothing is published."


@app.command(name="import")
def import_file(
    file: FileArgument,
    reason: Annotated[str, typer.Option(help="Why: stands beside the version.")] = "",
    based_on: Annotated[int | None, typer.Option(help="The version that the file was made from.")] = None,
    since: Annotated[
        str, typer.Option("--rehearse", help="First tell what it would have changed since then (30d), and ask.")
    ] = "",
    project: ProjectOption = "",
) -> None:
    """Publish FILE as the next version.

    Refused if it is broken, if its examples fail, or if it is not based on the newest version.
    """
    with opened() as services:
        text = read_policy(file)
        name = the_project(services, project)
        policy = load_checked(text, str(file), rules=services.plugins.rules.values())
        head = services.store.read_now(lambda conn: policies.head(conn, name))
        if head is not None and _unmarked(head.text) == _unmarked(text):
            say(_SAME, version=head.version, project=name)
            return
        if since:
            _rehearse(services, name, policy, file, since)
        base = based_on if based_on is not None else _base_of(text)
        now = services.clock.now()

        def publish(conn: Connection) -> policies.PolicyVersion:
            return policies.publish(
                conn, name, text=text, author=getpass.getuser(), based_on=base, now=now, reason=reason
            )

        version = services.store.write_now(publish)
        told = "Version {version} of {project} is published; a running hub uses it within a second."
        say(told, version=version.version, project=name)


@app.command()
def export(
    version: Annotated[int | None, typer.Argument(help="Left out: the newest.")] = None,
    project: ProjectOption = "",
) -> None:
    """Print a version.

    Its first line lets 'import' know what the file is based on.
    """
    with opened() as services:
        name = the_project(services, project)

        def read(conn: Connection) -> policies.PolicyVersion | None:
            return policies.head(conn, name) if version is None else policies.get(conn, name, version)

        found = services.store.read_now(read)
        if found is None:
            raise fail(f"{name} has no policy yet")
        sys.stdout.write(f"{_MARK}{found.version} of {name}\n{_unmarked(found.text)}")


@app.command()
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check FILE without publishing it.

    Fields, names, contradictions, rules that never match, its own examples.
    """
    try:
        # rules of plugins may be named in it
        plugins = load_plugins(load_settings().plugins, builtin=(("hub", rules),))
        policy = load_checked(read_policy(file), str(file), rules=plugins.rules.values())
    except ConfigurationError as err:
        if as_json:
            print_json({"ok": False, "problem": err.problem, "path": err.path, "line": err.line})
            raise typer.Exit(int(Exit.FOUND)) from err
        raise fail(str(err), Exit.FOUND) from err
    warnings = findings(policy)
    if as_json:
        print_json({"ok": True, "warnings": [{"path": one.path, "problem": one.problem} for one in warnings]})
        return
    for one in warnings:
        say("{said}", lead="note", style="yellow", said=speaker().theirs(str(one)))
    say("{file} can be used. What it would have changed: hub rehearse --policy {file}", file=file)


@app.command()
def presets(as_json: JsonOption = False) -> None:
    """List the ready policies: one for each way of working."""
    found = list_presets()
    if as_json:
        print_json([{"name": one.name, "title": one.title} for one in found])
        return
    for one in found:
        console.print(f"{one.name:20} {one.title}", highlight=False, markup=False)
    say("Print one: hub policy preset NAME > policy.toml", style="dim")


@app.command()
def preset(name: Annotated[str, typer.Argument(help="One that 'hub policy presets' lists.")]) -> None:
    """Print a ready policy, to begin with.

    Change what differs, then 'check' and 'import' it.
    """
    known = {one.name: one.text for one in list_presets()}
    if name not in known:
        raise fail(f"there is no preset {name!r}; there are {', '.join(known)}")
    sys.stdout.write(known[name])


@app.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for editors."""
    print_json(policy_schema())


@app.command()
def versions(project: ProjectOption = "", as_json: JsonOption = False) -> None:
    """Every version: who published it, when and why."""
    with opened() as services:
        name = the_project(services, project)
        found = services.store.read_now(lambda conn: policies.list_versions(conn, name))
        if as_json:
            print_json(
                [
                    {
                        "version": item.version,
                        "author": item.author,
                        "at": item.published_at.isoformat(),
                        "reason": item.reason,
                        "based_on": item.based_on,
                    }
                    for item in found
                ]
            )
            return
        for item in found:
            at, why = f"{item.published_at:%Y-%m-%d %H:%M} UTC", speaker().theirs(item.reason)
            console.print(f"{item.version:>4}  {at}  {item.author}  {why}", markup=False, highlight=False)


@app.command()
def diff(before: int, after: int, project: ProjectOption = "") -> None:
    """What changed between two versions."""
    with opened() as services:
        name = the_project(services, project)
        found = services.store.read_now(lambda conn: policies.diff(conn, name, before, after))
        if not found:
            # not where a program looks for differences
            errors.print(speaker().phrase("They do not differ."), highlight=False)
        sys.stdout.write(found)


@app.command()
def rollback(
    to: Annotated[int, typer.Argument(help="The version whose text becomes the newest one.")],
    reason: Annotated[str, typer.Option(help="Why: stands beside the version.")] = "",
    project: ProjectOption = "",
) -> None:
    """Publish an earlier version again."""
    with opened() as services:
        name = the_project(services, project)
        now = services.clock.now()

        def back(conn: Connection) -> policies.PolicyVersion | None:
            head = policies.head(conn, name)
            if head is None:
                raise ConfigurationError("there is no policy yet", path=f"project {name}")
            if head.text == policies.get(conn, name, to).text:
                say(_SAME, version=head.version, project=name)
                return None
            # what was fine then may name a field or a plugin's rule that is gone
            load_checked(policies.get(conn, name, to).text, f"version {to}", rules=services.plugins.rules.values())
            return policies.rollback(
                conn, name, to=to, author=getpass.getuser(), based_on=head.version, now=now, reason=reason
            )

        made = services.store.write_now(back)
        if made is not None:
            say("Version {version} is published: the text of version {to}.", version=made.version, to=to)


def _rehearse(services: Services, project: str, policy: Policy, file: Path, since: str) -> None:
    """Show what ``policy`` would have changed; ends the command if it is not wanted after that (X2)."""
    from hub.commands.rehearse import period, show

    show(services, services.projects.get(project), policy, period(services, policy, since), file, policy.language)
    typer.confirm(speaker().phrase("Publish it?"), abort=True)


def _unmarked(text: str) -> str:
    return text.split("\n", 1)[1] if text.startswith(_MARK) and "\n" in text else text


def _base_of(text: str) -> int | None:
    first = text.split("\n", 1)[0]
    if not first.startswith(_MARK):
        return None
    digits = first.removeprefix(_MARK).split(" ", 1)[0]
    return int(digits) if digits.isdigit() else None
