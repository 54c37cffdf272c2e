"""``hub db`` as a person types it: a hub moves from SQLite to PostgreSQL and goes on (H9)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.clock import SystemClock
from hub.compose import Hub, build_services
from hub.settings import Settings
from hub.store import inbox, projects, work
from hub.store.engine import Store
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import PROJECT, World, preset, world
from tests.postgres import Server, on_postgres

pytestmark = pytest.mark.postgres
Typed = Callable[..., Result]
CALLS = 12


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *words: CliRunner().invoke(app, ["db", *words])


def call(number: int) -> dict[str, str]:
    """The calls of four clients."""
    return ANSWERED | {"uniqueid": f"ua0_-{number}.1", "caller": f"38050111000{number % 4}"}


async def test_a_hub_moves_to_postgresql_and_goes_on_without_loss_or_doubles(
    tmp_path: Path, amocrm: tuple[Sandbox, str], typed: Typed, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, address = amocrm
    policy = preset("zoho-standard").replace('on = "none"', 'on = "contact"')
    async with world(tmp_path, sandbox, address, policy=policy) as company:
        for number in range(CALLS):
            await company.webhook("after", call(number))
        await company.settled(CALLS)
        before = company.records()
        assert len(before["contacts"]) == len(before["leads"]) == 4
        # accepted, and not read any more
        monkeypatch.setattr(company.hub.ingest, "read_some", _nothing)
        await company.webhook("after", call(CALLS))
        states = await company.hub.services.store.read(work.count_states)
    refused = typed("copy", "--to", "mysql://hub:sesame@db/hub")
    assert refused.exit_code == 2
    assert "sesame" not in refused.output
    done = typed("copy", "--to", postgres_url.replace("+psycopg", ""), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    counts = {one["table"]: one["rows"] for one in told["tables"]}
    assert (counts["interaction"], counts["inbox"], told["rows"]) == (CALLS, CALLS + 1, sum(counts.values()))
    assert told["directory_records"] >= 8
    assert "of-the-tests" not in done.output
    again = typed("copy", "--to", postgres_url)
    assert again.exit_code == 2
    assert "holds a hub already" in again.output

    monkeypatch.setenv("HUB_DATABASE_URL", postgres_url)
    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
    assert hub.services.store.read_now(work.count_states) == states
    async with hub:
        moved = World(hub=hub, sandbox=sandbox, address=address)
        await moved.settled(CALLS + 1)
        await moved.webhook("after", call(CALLS + 1))
        # the telephony tells of an old call once more
        await moved.webhook("after", call(1))
        await moved.settled(CALLS + 2)
        await moved.until(lambda: moved.unread() == 0)
        after = moved.records()
        assert [one["id"] for one in after["contacts"]] == [one["id"] for one in before["contacts"]]
        assert len(after["leads"]) == 4
        assert len(moved.calls()) == CALLS + 2
        # people who moved are told so
        refused = typed("copy", "--to", f"sqlite:///{tmp_path / 'back.db'}")
        assert refused.exit_code == 2
        assert "running" in refused.output


async def _nothing() -> int:
    return 0


def test_a_running_hub_is_not_copied(tmp_path: Path, typed: Typed, postgres_url: str) -> None:
    """What it takes in meanwhile would be lost; and a second one beside it would do everything twice."""
    settings = Settings(environment="development", data_directory=tmp_path / "var")
    running = build_services(settings, is_running=True)
    try:
        refused = typed("copy", "--to", postgres_url)
        assert refused.exit_code == 2
        assert "stop it first" in refused.output
    finally:
        running.close()
    assert typed("copy", "--to", postgres_url).exit_code == 0


def test_the_new_address_need_not_stand_in_the_list_of_processes(
    tmp_path: Path, typed: Typed, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H8: it comes from standard input or from the environment, and is shown without its password."""
    here = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    here.store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=SystemClock().now()))
    here.close()
    wrong = CliRunner().invoke(app, ["db", "copy", "--to", "-"], input="mysql://hub:sesame@db/hub\n")
    assert wrong.exit_code == 2
    assert "sesame" not in wrong.output
    piped = CliRunner().invoke(app, ["db", "copy", "--to", "-"], input=f"{postgres_url}\n")
    assert piped.exit_code == 0, piped.output
    assert "***" in piped.output
    monkeypatch.setenv("HUB_COPY_TO", postgres_url)
    again = typed("copy")
    assert again.exit_code == 2
    assert "holds a hub already" in again.output


def test_how_no_database_is_is_told_in_a_sentence(
    typed: Typed, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H11: no file, an empty database, a server that is away: three different things, and what to do."""
    nothing = typed("status")
    assert nothing.exit_code == 2
    assert "the hub makes it when it first starts" in nothing.output
    name = postgres_server.create()
    monkeypatch.setenv("HUB_DATABASE_URL", postgres_server.url(name))
    empty = typed("status")
    postgres_server.drop(name)
    assert empty.exit_code == 1
    assert "There is no hub in it yet" in empty.output
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub:sesame@127.0.0.1:9/hub")
    away = typed("status")
    assert away.exit_code == 3
    assert "the database cannot be used" in away.output
    assert "sesame" not in away.output


@on_postgres
def test_how_the_database_is_can_be_seen_and_mended(
    tmp_path: Path, typed: Typed, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = typed("status")
    assert missing.exit_code == 2
    assert "there is no database" in missing.output
    assert json.loads(typed("migrate", "--json").output)["ran"][0] == "m0001_truth"
    with Store(f"sqlite:///{tmp_path / 'var' / 'hub.db'}") as store:
        now = SystemClock().now()
        store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now))
    found = json.loads(typed("status", "--json").output)
    assert (found["engine"], found["pending"], found["rows"]["project"]) == ("SQLite", [], 1)
    assert found["size"] > 10_000
    assert "Up to date" in typed("status").output
    with closing(sqlite3.connect(tmp_path / "var" / "hub.db")) as older:
        older.execute("DELETE FROM migration WHERE name = 'm0002_popups'")
        for table in ("popup", "popup_preference", "presence"):
            older.execute(f"DROP TABLE {table}")
        older.commit()
    late = typed("status", "--json")
    assert (late.exit_code, json.loads(late.output)["pending"]) == (1, ["m0002_popups"])
    assert "m0002_popups" in typed("migrate").output
    assert "Nothing to do" in typed("migrate").output
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    there = json.loads(typed("status", "--json").output)
    assert (there["engine"], there["pending"], there["rows"]["project"]) == ("PostgreSQL", [], 0)
    assert "of-the-tests" not in there["address"]
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub:sesame@127.0.0.1:1/hub")
    away = typed("status")
    assert away.exit_code == 3
    assert "sesame" not in away.output


def test_commands_beside_a_hub_are_welcome(tmp_path: Path) -> None:
    settings = Settings(environment="development", data_directory=tmp_path / "var")
    running = build_services(settings, is_running=True)
    try:
        beside = build_services(settings)
        assert beside.store.read_now(inbox.counts) == {}
        beside.close()
        with pytest.raises(Exception, match="a hub is running"):
            build_services(settings, is_running=True)
    finally:
        running.close()
