"""``hub rehearse`` and ``hub shadow``: what would have been decided, beside what was and what happened (X2)."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from typer import Exit as TyperExit

from hub.commands.context import Exit, bring_directory, console, errors, opened, print_json, the_project
from hub.commands.moment import parse_moment
from hub.commands.policy_file import read_policy
from hub.core.policy import Policy, load_policy
from hub.core.records import EmployeeId
from hub.core.rehearsal import Report
from hub.core.text import Language
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.language import translator
from hub.runtime.rehearse import Wanted, rehearse
from hub.runtime.rehearsed import Speaker, report_json, report_text
from hub.runtime.services import Services
from hub.runtime.shadow import compare_shadow
from hub.runtime.shadowed import comparison_json, comparison_text

__all__ = ["period", "run_rehearsal", "run_shadow", "show", "speaker_of"]


def run_rehearsal(
    *, policy: Path, since: str, until: str, channel: str, language: Language, project: str, as_json: bool
) -> None:
    """Print the report. Exit status 1 if somebody's work would be nobody's, 2 for a policy or period of no use."""
    with opened() as services:
        text = read_policy(policy)
        live = services.projects.get(the_project(services, project))
        trial = load_policy(text, str(policy), rules=services.plugins.rules.values())
        wanted = period(services, trial, since, until, channel)
        report = show(services, live, trial, wanted, policy, language, as_json=as_json)
        if report.newly_unowned:
            raise TyperExit(int(Exit.FOUND))


def show(
    services: Services,
    live: LiveProject,
    trial: Policy,
    wanted: Wanted,
    policy: Path,
    language: Language,
    *,
    as_json: bool = False,
) -> Report:
    """Rehearse ``trial``, with a progress bar, and print what came of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=as_json or not errors.is_terminal, transient=True) as shown:
        task = shown.add_task(f"Rehearsing {policy.name}", total=1.0)
        report = rehearse(
            services.store, live, trial, wanted, progress=lambda share: shown.update(task, completed=share)
        )
    speaker = speaker_of(live, trial, language)
    if as_json:
        print_json(report_json(report, wanted, str(policy), speaker))
    else:
        console.print(report_text(report, wanted, policy.name, speaker), markup=False, highlight=False)
    return report


def period(services: Services, policy: Policy, since: str, until: str = "", channel: str = "") -> Wanted:
    """The part of the past that the options name, in the policy's time zone."""
    now = services.clock.now()
    begin = parse_moment(since, option="--since", zone=policy.zone, now=now)
    end = parse_moment(until, option="--until", zone=policy.zone, now=now) or now
    if begin is None:
        raise ConfigurationError("say since when, such as 30d or 2026-11-01", path="--since")
    if begin >= end:
        raise ConfigurationError(f"the period ends ({end:%Y-%m-%d %H:%M}) before it begins", path="--since")
    return Wanted(since=begin, until=end, channel=channel)


def run_shadow(*, since: str, until: str, channel: str, language: Language, project: str, as_json: bool) -> None:
    """Print how what was decided in shadow compares with what happened in the CRM (X2)."""
    with opened() as services:
        live = services.projects.get(the_project(services, project))
        if live.policy is None:
            raise ConfigurationError(live.problem, path=f"project {live.name}")
        wanted = period(services, live.policy, since, until, channel)
        bring_directory(services, live)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, disable=as_json or not errors.is_terminal, transient=True) as shown:
            task = shown.add_task("Comparing", total=1.0)
            found = compare_shadow(
                services.store,
                services.directory,
                live,
                wanted,
                progress=lambda share: shown.update(task, completed=share),
            )
        speaker = speaker_of(live, live.policy, language)
        if as_json:
            print_json(comparison_json(found, wanted, speaker))
        else:
            console.print(comparison_text(found, wanted, speaker), markup=False, highlight=False)


def speaker_of(live: LiveProject, trial: Policy, language: Language) -> Speaker:
    """Words and names of both policies, the trial's first."""
    names: dict[EmployeeId, str] = {}
    for connection in reversed(live.connections):
        names.update(connection.names)
    titles: dict[str, str] = {}
    for policy in (live.policy, trial):
        if policy is not None:
            names.update(policy.names)
            titles.update({row.name: row.title for row in policy.matrix})
    return Speaker(t=translator(language), zone=trial.zone, names=names, titles=titles)
