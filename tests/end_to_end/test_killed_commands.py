"""A command that was killed in the middle is simply given again: nothing is lost, doubled or half (H3, H9, X13, X7)."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox
from hub_ringostat.sandbox.examples import ANSWERED, MISSED, TRANSFERRED
from hub_ringostat.sandbox.telephony import Call
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.clock import SystemClock
from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, RecordKind
from hub.ports import Changes
from hub.runtime.replay import Replays, Wanted, offline_advance
from hub.settings import Settings
from hub.store import directory_stream, inbox, moving
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.store.replays import Selection
from tests.end_to_end.killed_command import Death, kill_command
from tests.end_to_end.world import CRM, PROJECT, World, world
from tests.runtime.connected import connected, until
from tests.runtime.test_reconcile import line
from tests.runtime.test_replay import POLICY, over, play, publish
from tests.store.test_moving import fill

Typed = Callable[..., Result]
NOW = SystemClock().now()


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *words: CliRunner().invoke(app, list(words))


# --- the database -----------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(
    "death",
    [
        Death("hub.store.directory_stream", "put", 2),
        Death("hub.store.events", "renumber"),
    ],
    ids=str,
)
def test_a_move_that_was_killed_leaves_no_hub_there_and_is_simply_begun_again(
    tmp_path: Path, typed: Typed, postgres_url: str, death: Death
) -> None:
    """H9: no half of a database is taken for a whole one; the CRMs' records come first, the truth in one piece."""
    services = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    services.store.write_now(lambda conn: fill(conn, NOW))
    services.close()
    contacts = tuple(Contact(id=str(number)) for number in range(1500))
    with Directory(tmp_path / "var" / "directory.db") as directory:
        directory.fold("auto", "amo", Changes(contacts=contacts, as_of=NOW), NOW, marks={"imported": "yes"})
    kill_command(["db", "copy", "--to", postgres_url], death, tmp_path / "var")
    with Store(postgres_url) as there:
        assert there.read_now(moving.filled_tables) == []
    done = typed("db", "copy", "--to", postgres_url, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["directory_records"] == 1500
    with Store(postgres_url) as there:
        assert "project" in there.read_now(moving.filled_tables)
        told = there.read_now(lambda conn: directory_stream.changes_after(conn, "auto", "amo", 0, most=2000))
        assert (len(told.rows), told.marks["imported"]) == (1500, "yes")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_migrations_that_were_killed_begin_anew(
    tmp_path: Path, typed: Typed, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H9: all of them are one transaction; what was not finished is not there."""
    if engine == "postgresql":
        monkeypatch.setenv("HUB_DATABASE_URL", request.getfixturevalue("bare_postgres_url"))
    kill_command(["db", "migrate"], Death("hub.store.migrations", "run_script", 3), tmp_path / "var")
    assert "There is no hub in it yet" in typed("db", "status").output
    assert json.loads(typed("db", "migrate", "--json").output)["ran"][0] == "m0001_truth"
    assert "Up to date" in typed("db", "status").output


@pytest.mark.parametrize("nth", [1, 2])
def test_a_backup_that_was_killed_leaves_the_last_whole_one(tmp_path: Path, typed: Typed, nth: int) -> None:
    """Each copy gets its name when it is whole and checked; what was begun goes with the next backup."""
    target = tmp_path / "copies"
    assert typed("backup", str(target)).exit_code == 0
    kill_command(["backup", str(target)], Death("hub.store.backup", "os.replace", nth), tmp_path / "var")
    names = ["hub.db", "directory.db"]
    for name in names:
        with closing(sqlite3.connect(f"file:{target / name}?mode=ro", uri=True)) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert f"{names[nth - 1]}.part" in os.listdir(target)
    assert typed("backup", str(target)).exit_code == 0
    assert sorted(os.listdir(target)) == sorted(names)


@pytest.mark.postgres
def test_a_dump_that_outlives_its_killed_command_is_not_written_over(
    tmp_path: Path, typed: Typed, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pg_dump`` goes on when the command is killed: two that write one file spoil it."""
    programs, pipe = tmp_path / "programs", tmp_path / "pipe"
    programs.mkdir()
    os.mkfifo(pipe)
    pg_dump = programs / "pg_dump"
    # it ends when somebody writes into the pipe
    pg_dump.write_text(
        f'#!/bin/sh\nfor last in "$@"; do :; done\necho begun > {tmp_path}/begun\nread -r line < {pipe}\n'
    )
    pg_dump.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HUB_DATABASE_URL", postgres_url)
    command = [sys.executable, "-m", "hub", "backup", str(tmp_path / "copies")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < end
            assert running.poll() is None
            time.sleep(0.05)
        running.kill()
    # the next one would end at once
    pg_dump.unlink()
    pg_dump.write_text("#!/bin/sh\nexit 0\n")
    pg_dump.chmod(0o755)
    try:
        again = typed("backup", str(tmp_path / "copies"))
        assert (again.exit_code, "another backup" in again.output) == (2, True), again.output
    finally:
        pipe.write_text("end\n")
    end = time.monotonic() + 30
    while typed("backup", str(tmp_path / "copies")).exit_code:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.listdir(tmp_path / "copies") == ["hub.dump"]


def test_a_backup_holds_the_truth_wherever_it_lies(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HUB_DATABASE_URL may name another file than the data directory's own."""
    monkeypatch.setenv("HUB_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere' / 'truth.db'}")
    assert typed("backup", str(tmp_path / "copies")).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "copies" / "truth.db")) as file:
        assert file.execute("SELECT count(*) FROM migration").fetchone()[0] > 0


# --- what is decided anew, what was lost ------------------------------------------------------------------------

SURVEY = '[tasks.survey]\ndue = "1 day"\ntext = "Ask how it went"\nuntil_reached = false\n'
PROCESS = 'tasks = [{ task = "process", assignees = ["owner"] }]'


@asynccontextmanager
async def newer_rules(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> AsyncIterator[World]:
    """A day was decided; then a version came by which two of its calls have one more task."""
    both = PROCESS.replace(" }]", ' }, { task = "survey", assignees = ["senior"] }]')
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await play(company)
        await publish(company, POLICY.replace(PROCESS, both, 1) + SURVEY)
        yield company


def surveys(company: World) -> list[int]:
    """The cards of the tasks that the newer rules make."""
    found = [task for task in company.records()["tasks"] if task["text"] == "Ask how it went"]
    return sorted(task["entity_id"] for task in found)


async def test_a_replay_that_was_killed_is_given_again_and_does_what_is_left(
    tmp_path: Path, amocrm: tuple[Sandbox, str], typed: Typed
) -> None:
    """X13: what was opened before the kill is decided by the running hub; the next one opens the rest."""
    async with newer_rules(tmp_path, amocrm) as company:
        words = ["replay", "--row", "A2", "--write"]
        await asyncio.to_thread(kill_command, words, Death("hub.store.work", "reopen", 2, page=1), tmp_path / "var")
        await company.until(lambda: len(surveys(company)) == 1)
        await over(company)
        again = typed(*words, "--json")
        assert (again.exit_code, json.loads(again.output)["opened"]) == (0, 1), again.output
        await company.until(lambda: len(surveys(company)) == 2)
        await over(company)
        assert len(set(surveys(company))) == len(surveys(company)) == 2
        assert json.loads(typed(*words, "--json").output)["opened"] == 0


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "with a look from before"])
async def test_two_who_press_replay_do_it_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str], each_engine: None, waits: bool
) -> None:
    """X13, H9: both have looked before either began; the second may even begin when the first is done."""
    async with newer_rules(tmp_path, amocrm) as company:
        services = company.hub.services
        replays = Replays(services.store, services.clock, offline_advance(services))
        wanted = Wanted(selection=Selection(project=PROJECT), row="A2")
        one, other = (list(replays.look(wanted, "now")) for _ in range(2))
        assert replays.open(one) == 2
        services.sweep()
        if waits:
            await over(company)
        replays.open(other)
        services.sweep()
        await company.until(lambda: len(surveys(company)) == 2)
        await over(company)
        assert len(set(surveys(company))) == len(surveys(company)) == 2
        assert {deal["id"] for deal in company.records()["leads"]} >= set(surveys(company))


def _of_today(call: Call) -> Call:
    """The example as if it had ended an hour ago."""
    by = SystemClock().now() - timedelta(hours=1) - call.ended_at
    return replace(
        call,
        started_at=call.started_at + by,
        ended_at=call.ended_at + by,
        rung=tuple(replace(one, at=one.at + by) for one in call.rung),
        legs=tuple(replace(one, answered_at=one.answered_at + by) for one in call.legs),
    )


async def test_a_recovery_that_was_killed_is_given_again_and_takes_the_rest_in(
    tmp_path: Path, amocrm: tuple[Sandbox, str], typed: Typed
) -> None:
    """X7: each call of the telephony's log is stored by itself; none is half there, none comes twice."""
    async with line(tmp_path, amocrm, *(_of_today(one) for one in (ANSWERED, MISSED, TRANSFERRED))) as found:
        words = ["recover", "--write"]
        await asyncio.to_thread(
            kill_command, words, Death("hub.runtime.reconcile", "store_parsed", 2), tmp_path / "var"
        )
        await found.company.until(lambda: len(found.calls()) == 1)
        # nothing of the second one stays
        store = found.company.hub.services.store
        assert len(store.read_now(lambda conn: inbox.list_received(conn, project=PROJECT))) == 1
        again = await asyncio.to_thread(typed, *words, "--json")
        assert (again.exit_code, len(json.loads(again.output)["recovered"])) == (0, 2), again.output
        await found.company.settled(3)
        assert Counter(call.external_id for call in found.calls()) == {ANSWERED.id: 1, MISSED.id: 1, TRANSFERRED.id: 1}
        assert len(found.company.calls()) == len({note["params"]["uniq"] for note in found.company.calls()})


# --- the import -------------------------------------------------------------------------------------------------


def importing(directory: Path) -> list[int]:
    """Importing processes that write the directory: they have its file open."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if "import_child" in (entry / "cmdline").read_text():
                files = [os.readlink(one) for one in (entry / "fd").iterdir()]
                found += [int(entry.name)] if str(directory) in files else []
        except OSError:
            continue
    return found


async def test_an_import_whose_parent_was_killed_leaves_no_child_and_goes_on_where_it_was(
    tmp_path: Path, amocrm: tuple[Sandbox, str], typed: Typed
) -> None:
    """H6, R2: nobody writes on unseen; what was known answers all the while; what was read is not read again."""
    sandbox, _ = amocrm
    # the limit is another test's
    sandbox.switch(limit_per_second=1000)
    sandbox.seed(600, 0)
    caller, path = Phone("+79000000008"), tmp_path / "var" / "directory.db"

    def known() -> bool:
        with Directory(path) as directory:
            return bool(directory.lookup(PROJECT, CRM, caller).contacts)

    def pages() -> int:
        return sum(one["path"] == "/api/v4/contacts" for one in sandbox.requests())

    async with connected(tmp_path, *amocrm, page_size=25, requests_per_second=20):
        pass
    assert (await asyncio.to_thread(typed, "sync", "--json")).exit_code == 0
    whole = pages()
    assert known()
    death = Death("hub.runtime.importer", "Importer._page", 12)
    await asyncio.to_thread(kill_command, ["sync", "--afresh"], death, tmp_path / "var")
    await until(lambda: not importing(path), 15)
    assert known()
    begun = pages()
    done = await asyncio.to_thread(typed, "sync", "--json")
    assert done.exit_code == 0, done.output
    assert known()
    assert pages() - begun < whole * 2 // 3
    with Directory(path) as directory:
        assert directory.counts(PROJECT, CRM)[RecordKind.CONTACT] == 600
        assert directory.mark(PROJECT, CRM, "imported")
