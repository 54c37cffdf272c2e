"""The command line as a whole: what it says of itself, and what programs read of it (U3)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import Connection
from typer.core import TyperGroup
from typer.testing import CliRunner

from hub.cli import app
from hub.compose import build_services
from hub.ports import RawRequest
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import inbox, policies, projects
from hub.store.inbox import InboxStatus
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, preset

NOW = datetime(2026, 7, 29, 9, 0, tzinfo=UTC)
#: where nobody listens
NOWHERE = "http://127.0.0.1:9"


def _commands(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], TyperGroup, Any]]:
    for name, found in group.commands.items():
        yield (*path, name), group, found
        if isinstance(found, TyperGroup):
            yield from _commands(found, *path, name)


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
ALL = list(_commands(ROOT))


@pytest.mark.parametrize(("path", "group", "command"), ALL, ids=[" ".join(path) for path, *_ in ALL])
def test_every_command_is_told_whole_in_the_list(path: tuple[str, ...], group: TyperGroup, command: Any) -> None:
    """On 80 columns: the first sentence of each command fits beside the names."""
    width = 80 - 2 - 6 - max(len(name) for name in group.commands)
    told = command.get_short_help_str(width)
    assert told.endswith(".")
    assert not told.endswith("..."), told


@pytest.mark.parametrize(("path", "command"), [((), ROOT), *((path, command) for path, _, command in ALL)])
def test_help_speaks_of_no_requirement_numbers(path: tuple[str, ...], command: Any) -> None:
    """They are ours: who types ``--help`` has no list of them."""
    told = command.get_help(command.make_context("hub", [], resilient_parsing=True))
    assert re.findall(r"\b[HRAZCJWUX]\d{1,2}\b", told) == []


#: each command with --json -> what else to type, and how it ends on a hub whose CRM and channel do not answer
JSON: dict[str, tuple[Sequence[str], int]] = {
    "explain": (["--forwarding", "380501112233"], 0),
    "check": (["--trace-hooks"], 1),
    "replay": ([], 0),
    "rehearse": (["--policy", "FILE"], 0),
    "shadow": ([], 0),
    "test-call": (["380501112233", "--answered-by", "oleg"], 0),
    "sync": (["--connection", "another"], 2),
    "recover": ([], 3),
    "clients joins": ([], 0),
    "clients undo": (["--since", "30d"], 0),
    "db status": ([], 0),
    "db migrate": ([], 0),
    "db copy": (["--to", "sqlite:///COPY"], 0),
    "policy check": (["FILE"], 0),
    "policy presets": ([], 0),
    "policy versions": ([], 0),
    "plugin check": (["jivo"], 0),
    "plugin list": ([], 0),
    "user list": ([], 0),
    "widget build": (["--out", "FOLDER/widget.zip"], 0),
    "widget check": (["COPY"], 2),
    "widget link": ([], 2),
}
#: commands that serve until they are stopped, or ask: tests/end_to_end/test_day.py, tests/runtime/test_run_command.py,
#: tests/end_to_end/test_setup_command.py
ELSEWHERE = {"demo"}
WHILE_IT_LASTS = {"run", "setup"}

#: what else a person types, in this order on one hub, how it ends, and a piece of what is said
BY_HAND: Sequence[tuple[str, Sequence[str], int, str]] = (
    ("policy preset", ["zoho-standard"], 0, 'region = "UA"'),
    ("policy preset", ["zoho"], 2, "there is no preset 'zoho'"),
    ("policy schema", [], 0, '"$schema"'),
    ("policy import", ["FILE", "--based-on", "1", "--reason", "the new matrix"], 0, "Version 2"),
    ("policy import", ["FILE", "--based-on", "1"], 0, "Version 2 of auto says exactly this already"),
    ("policy import", ["OTHER", "--based-on", "1"], 2, "the policy changed meanwhile (now version 2"),
    ("policy export", [], 0, "# version 2 of auto"),
    ("policy export", ["7"], 2, "there is no version 7"),
    ("policy diff", ["1", "2"], 0, "+"),
    ("policy diff", ["2", "2"], 0, ""),
    ("policy rollback", ["1", "--reason", "back again"], 0, "Version 3"),
    ("policy rollback", ["1"], 0, "Version 3 of auto says exactly this already"),
    ("plugin new", ["parrot", "--kind", "source", "--directory", "FOLDER/parrot"], 0, "parrot"),
    ("plugin new", ["Parrot!", "--kind", "source", "--directory", "FOLDER/other"], 2, "Parrot!"),
    ("user add", ["olha", "--role", "admin", "--password", "correct horse battery"], 0, "olha"),
    ("user add", ["olha", "--role", "admin", "--password", "correct horse battery"], 2, "olha"),
    ("user remove", ["olha"], 0, "olha"),
    ("user remove", ["olha"], 2, "olha"),
    ("backup", ["FOLDER/copies"], 0, "FOLDER/copies"),
    ("backup", ["FILE"], 2, "FILE"),
)


def test_the_table_names_every_command_that_programs_read() -> None:
    with_json = {" ".join(path) for path, _, found in ALL if any("--json" in one.opts for one in found.params)}
    assert with_json == set(JSON) | ELSEWHERE


def test_the_tables_name_every_command() -> None:
    """U3: nothing can be typed that no test has typed."""
    every = {" ".join(path) for path, _, found in ALL if not isinstance(found, TyperGroup)}
    assert every == set(JSON) | {command for command, *_ in BY_HAND} | ELSEWHERE | WHILE_IT_LASTS


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """A hub with a policy, a channel and a CRM that do not answer."""
    found = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    cipher = found.cipher

    def fill(conn: object) -> None:
        projects.add_project(conn, PROJECT, now=NOW)  # type: ignore[arg-type]  # a connection
        policies.publish(conn, PROJECT, text=preset("car-dealer"), author="test", based_on=None, now=NOW)  # type: ignore[arg-type]
        projects.add_channel(conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=NOW)  # type: ignore[arg-type]
        held = {"address": NOWHERE, "long_lived_token": "x.y.z", "is_loopback_allowed": True}
        projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings=held, now=NOW)  # type: ignore[arg-type]

    found.store.write_now(fill)
    found.close()
    return found


def test_a_crm_that_there_is_not_is_told_with_those_that_there_are(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H11: what was typed, and what could have been."""
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    told = CliRunner().invoke(app, ["sync", "--connection", "another"]).stderr
    assert f"the project {PROJECT} has no CRM called 'another'; there is {CRM}" in " ".join(told.split())


def test_a_webhook_that_nobody_could_read_is_told_by_the_check(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H11: kept, shown, and not only to whoever looks at the console."""
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    assert "could not be read" not in CliRunner().invoke(app, ["check", "--offline"]).output

    def spoil(conn: Connection) -> None:
        request = RawRequest(method="POST", body=b"{", received_at=NOW)
        row = inbox.add(conn, project=PROJECT, channel=CHANNEL, kind="hook", request=request)
        inbox.mark(conn, row, InboxStatus.UNREADABLE, now=NOW, field="body", note="no JSON")

    again = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    again.store.write_now(spoil)
    again.close()
    told = CliRunner().invoke(app, ["check", "--offline"])
    assert told.exit_code == 1
    assert f"needs attention in {PROJECT} webhooks that could not be read: 1;" in " ".join(told.output.split())


@pytest.mark.parametrize("command", sorted(JSON))
def test_a_program_reads_one_document_and_nothing_else(
    command: str, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is the document; a refusal is a sentence on standard error and leaves it empty."""
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    (tmp_path / "policy.toml").write_text(preset("zoho-standard"), encoding="utf-8")
    words, status = JSON[command]
    places = {"FOLDER": str(tmp_path), "FILE": str(tmp_path / "policy.toml"), "COPY": str(tmp_path / "copy")}
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    result = CliRunner().invoke(app, [*command.split(), "--json", *words])
    assert result.exit_code == status, result.output
    if result.stdout:
        json.loads(result.stdout)
    else:
        assert status
        assert result.stderr


def test_what_a_person_types_does_what_it_says_or_says_why_not(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U3, H11: each command that is for people alone, once as meant and once wrongly."""
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    (tmp_path / "policy.toml").write_text(preset("zoho-standard"), encoding="utf-8")
    (tmp_path / "other.toml").write_text(preset("jivo-shop"), encoding="utf-8")
    places = {"FOLDER": str(tmp_path), "FILE": str(tmp_path / "policy.toml"), "OTHER": str(tmp_path / "other.toml")}
    for command, typed, status, piece in BY_HAND:
        words = list(typed)
        for name, place in places.items():
            words, piece = [word.replace(name, place) for word in words], piece.replace(name, place)
        result = CliRunner().invoke(app, [*command.split(), *words])
        assert result.exit_code == status, (command, words, result.output, result.exception)
        told = result.stderr if status else result.stdout
        assert piece in " ".join(told.split()), (command, words, told)
