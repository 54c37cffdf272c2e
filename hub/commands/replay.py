"""``hub replay``: decide interactions anew, with intent (X13)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from rich.progress import Progress

from hub.commands.clients import find_client
from hub.commands.context import bring_directory, console, errors, fail, opened, print_json, the_project
from hub.commands.explain import find_interaction
from hub.commands.moment import parse_moment
from hub.commands.staff import find_employee
from hub.core.interaction import InteractionId
from hub.core.policy import Policy
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.language import as_language, translator
from hub.runtime.replay import Replays, Report, Rules, Wanted, offline_advance, report_json
from hub.runtime.replay_text import report_text
from hub.runtime.services import Services
from hub.store import policies
from hub.store.replays import ENDED, Selection
from hub.store.work import WorkState

__all__ = ["Filter", "replay"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The options of the command, as they were typed."""

    interaction: str = ""
    connection: str = ""
    channel: str = ""
    kind: str = ""
    disposition: str = ""
    employee: str = ""
    row: str = ""
    state: str = ""
    client: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_empty(self) -> bool:
        return self == Filter(connection=self.connection)


def replay(typed: Filter, *, rules: Rules, write: bool, language: str, project: str, as_json: bool) -> None:
    """Show what deciding the wanted interactions anew would change; with ``write``, do it."""
    with opened() as services:
        live = services.projects.get(the_project(services, project))
        if live.policy is None:
            raise ConfigurationError(live.problem, path=f"project {live.name}")
        wanted = _wanted(services, live, live.policy, typed)
        bring_directory(services, live)
        found = Replays(services.store, services.clock, offline_advance(services))
        report = Report(project=live.name, rules=rules, unfinished=found.unfinished(wanted))
        with Progress(console=errors, transient=True, disable=as_json) as progress:
            task = progress.add_task("", total=None)
            for one in found.look(wanted, rules):
                report.add(one)
                progress.advance(task)
        if write and report.to_do:
            report.opened = found.open(report.to_do)
            report.is_written = True
        if as_json:
            print_json(report_json(report))
            return
        names = {name: shown for one in reversed(live.connections) for name, shown in one.names.items()}
        text = report_text(report, translator(as_language(language)), live.policy, {**names, **live.policy.names})
        console.print(text, markup=False, highlight=False)


def _wanted(services: Services, live: LiveProject, policy: Policy, typed: Filter) -> Wanted:
    """Everything that was typed, checked: a word that names nothing is refused, never silently matched by nothing."""
    now, zone = services.clock.now(), policy.zone
    states = (WorkState.ATTENTION,) if typed.is_empty else ENDED
    if typed.state:
        states = (_one_of(typed.state, {state.value: state for state in ENDED}, "--state"),)
    if typed.connection:
        _one_of(typed.connection, {one.name: one for one in live.connections}, "--connection")
    if typed.channel and typed.channel not in live.channels:
        _one_of(typed.channel, {**live.channels, **live.problems}, "--channel")
    if typed.employee:
        typed = replace(typed, employee=find_employee(policy, typed.employee, option="--employee").id)
    if typed.row:
        _one_of(typed.row, _rows(services, live.name, policy, typed.row), "--row")
    selection = Selection(
        project=live.name,
        interaction_id=_interaction(services, live.name, typed.interaction),
        connection=typed.connection,
        channels=(typed.channel,) if typed.channel else (),
        kinds=(typed.kind,) if typed.kind else (),
        client_id=find_client(services, live.name, policy, typed.client),
        since=parse_moment(typed.since, option="--since", zone=zone, now=now),
        until=parse_moment(typed.until, option="--until", zone=zone, now=now),
        states=states,
    )
    if selection.since and selection.until and selection.since >= selection.until:
        raise ConfigurationError("the period ends before it begins", path="--until")
    return Wanted(
        selection=selection,
        dispositions=(typed.disposition,) if typed.disposition else (),
        employee=EmployeeId(typed.employee),
        row=typed.row,
    )


def _one_of(word: str, known: Mapping[str, T], option: str) -> T:
    if word not in known:
        raise ConfigurationError(f"{word!r} is not known; known: {', '.join(sorted(known)) or 'none'}", path=option)
    return known[word]


def _rows(services: Services, project: str, policy: Policy, wanted: str) -> Mapping[str, str]:
    """The rows of the matrix by name; those of earlier versions too, if today's policy has no ``wanted`` row."""
    found = {row.name: row.name for row in policy.matrix}
    if wanted in found:
        return found
    for version in services.store.read_now(lambda conn: policies.list_versions(conn, project)):
        rows = tomllib.loads(version.text).get("matrix", [])
        found |= {str(row["name"]): str(row["name"]) for row in rows if "name" in row}
    return found


def _interaction(services: Services, project: str, text: str) -> InteractionId | None:
    if not text:
        return None
    found = services.store.read_now(partial(find_interaction, project=project, text=text))
    if found is None:
        raise fail(f"project {project!r} has no interaction {text!r}")
    return found
