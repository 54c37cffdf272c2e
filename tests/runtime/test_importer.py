"""The whole account comes into the directory by a child process, under the account's one pacer (H6, X6)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox, serve
from sqlalchemy.exc import OperationalError

from hub.core.phone import Phone
from hub.core.records import RecordKind
from hub.runtime import connections
from hub.runtime.account import Health
from hub.runtime.importer import ImportStopped, Progress
from hub.runtime.pace import Urgency, urgency
from hub.store import projects
from hub.store.directory import Directory
from tests.runtime.connected import CRM, PROJECT, Connected, connected, until


def is_whole(company: Connected) -> bool:
    """Every contact and open deal is there; the closing poll tells the last changed closed deals too."""
    found = company.account.directory.counts(PROJECT, CRM)
    return found[RecordKind.CONTACT] == CONTACTS and DEALS // 4 <= found[RecordKind.DEAL] < DEALS // 4 + 20


def row_of(company: Connected) -> projects.CrmConnection:
    services = company.hub.services
    found = services.store.read_now(lambda conn: projects.find_connection(conn, services.cipher, PROJECT, CRM))
    assert found is not None
    return found


def children() -> list[int]:
    """Importing processes of this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_text()
            except OSError:
                continue
            if stat.rpartition(")")[2].split()[1] == str(os.getpid()) and "import_child" in command:
                found.append(int(entry.name))
    return found


def is_last(process: int) -> bool:
    """Whether everybody else's work goes before that of ``process``, which has a session of its own (DESIGN 3)."""
    of_session = Path(f"/proc/{process}/autogroup")
    return os.getpriority(os.PRIO_PROCESS, process) == 19 and (
        not of_session.exists() or of_session.read_text().endswith("nice 19\n")
    )


#: small pages and a limit that does not slow the tests down
MANY_PAGES: dict[str, Any] = {"page_size": 50, "requests_per_second": 30}


@pytest.fixture
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as (sandbox, address):
        sandbox.switch(limit_per_second=30)
        sandbox.seed(CONTACTS, DEALS)
        yield sandbox, address


#: the import brings open deals; one seeded lead in four is open
CONTACTS, DEALS = 800, 1600
#: the least pages that hold them
PAGES = CONTACTS // 50 + DEALS // 4 // 50


async def test_an_import_brings_everything_and_says_how_far_it_is(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    seen: list[Progress] = []
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        feed = company.feed()
        found = company.importer(feed, progressed=seen.append)
        assert found.is_needed()
        done = await found.run()
        assert is_whole(company)
        assert done.is_done
        assert not found.is_needed()
        assert company.account.is_imported
        assert row_of(company).imported_at is not None
        shares = [progress.share for progress in seen]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        states = [body["state"] for body in company.events("import")]
        assert (states[0], states[-1]) == ("began", "done")
        holdings = company.account.directory.lookup(PROJECT, CRM, Phone("+79000000008"))
        assert holdings.contacts[0].name == "Клиент 8"
        assert holdings.deals
        assert not sandbox.stats()["violations"]


def test_the_child_loads_the_plugin_that_it_reads_with_and_no_other() -> None:
    """Half a second of processor time at each start (DESIGN 11); a name that no plugin has is told as ever."""
    told = dict.fromkeys(("settings", "project", "connection", "region", "public_url", "webhook_url", "cursor"), "")
    program = f"""if True:
        import sys
        from hub.errors import ConfigurationError
        from hub.runtime.import_child import Begin, sink_of
        told = {told!r} | dict(settings={{}}, eight_is_seven=False, directory="d", plugins=(), timeout=1)
        print(sink_of(Begin(sink="amocrm", **told)).name, "hub_ringostat" in sys.modules, "hub_zoho" in sys.modules)
        print("sqlalchemy" in sys.modules)  # the database is the parent's
        try:
            sink_of(Begin(sink="nobody", **told))
        except ConfigurationError as err:
            print("nobody" in str(err), "hub_zoho" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["amocrm False False", "False", "True True"]


async def test_the_import_leaves_the_right_of_way_to_popups_and_records(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X6: one pacer governs parent and child."""
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm, **MANY_PAGES | {"requests_per_second": 6}) as company:
        running = asyncio.create_task(company.importer(company.feed()).run())
        pacer = company.account.pacer
        await until(lambda: pacer.waiting > 0)
        for _ in range(5):
            before = pacer.granted
            with urgency(Urgency.POPUP):
                await pacer.acquire()
            # at most what was granted in this very turn: the import waits behind
            assert pacer.granted - before <= 2
        await running
        assert not sandbox.stats()["violations"]
        assert is_whole(company)


async def test_a_killed_child_is_replaced_and_goes_on(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    seen: list[Progress] = []
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        before = len(sandbox.requests())
        running = asyncio.create_task(company.importer(company.feed(), progressed=seen.append).run())
        await until(lambda: len(seen) >= 3)
        for child in children():
            assert is_last(child)
            os.kill(child, signal.SIGKILL)
        done = await running
        assert done.is_done
        assert is_whole(company)
        # what the killed child had stored is not read again
        assert len(sandbox.requests()) - before < PAGES + PAGES // 2 + 20


async def test_an_import_goes_on_where_a_killed_parent_stopped(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    seen: list[Progress] = []
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        running = asyncio.create_task(company.importer(company.feed(), progressed=seen.append).run())
        await until(lambda: len(seen) >= 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not children()
        assert row_of(company).import_cursor
        read = len([one for one in sandbox.requests() if one["path"] in ("/api/v4/leads", "/api/v4/contacts")])
        again = company.importer(company.feed())
        assert again.is_needed()
        await again.run()
        assert is_whole(company)
        whole = len([one for one in sandbox.requests() if one["path"] in ("/api/v4/leads", "/api/v4/contacts")])
        assert whole - read < PAGES - 2


async def test_a_process_that_takes_an_import_over_half_way_has_every_page_that_was_read(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H6, H9: others copy each page before its cursor is stored, so what is not read again is in their files too."""
    sandbox, _ = amocrm
    pages: list[int] = []
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        here = company.account.directory
        with Directory(tmp_path / "other.db") as there:

            def copy(refs: Sequence[tuple[int, str]], marks: Mapping[str, str]) -> None:
                there.take_over(PROJECT, CRM, here.rows(PROJECT, CRM, refs), marks)

            async def tell(refs: Sequence[tuple[int, str]], marks: Mapping[str, str]) -> None:
                await asyncio.to_thread(copy, refs, marks)
                pages.append(len(refs))

            running = asyncio.create_task(company.importer(company.feed(), tell=tell).run())
            await until(lambda: len(pages) >= 5)
            # they see the import while it goes on
            assert sum(there.counts(PROJECT, CRM).values()) >= sum(pages) // 2
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert row_of(company).import_cursor
            # a page is bounded, and so is what waits to be told
            assert max(pages) <= 3 * MANY_PAGES["page_size"]
            company.account.directory, company.directory_path = there, tmp_path / "other.db"
            before = len(sandbox.requests())
            await company.importer(company.feed(), tell=tell).run()
            assert is_whole(company)
            # the deals come first: those of the five pages are not read again
            again = [one["path"] for one in sandbox.requests()[before:]]
            assert again.count("/api/v4/leads") < DEALS // 4 // 50


async def test_what_changes_during_the_import_comes_by_the_feed(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    first = sandbox.records(seeded=True)["contacts"][0]["id"]
    seen: list[Progress] = []
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        feed = company.feed()
        running = asyncio.create_task(company.importer(feed, progressed=seen.append).run())
        await until(lambda: len(seen) >= 2)
        sandbox.person("change_responsible", entity="contacts", id=first, user_id=8800103)
        sandbox.person("create_contact", name="New", phone="+380501112233")
        await running
        await feed.poll()
        directory = company.account.directory
        assert directory.lookup(PROJECT, CRM, Phone("+79000000000")).contacts[0].responsible == "@8800103"
        assert directory.lookup(PROJECT, CRM, Phone("+380501112233")).contacts


async def test_a_crm_that_fails_is_waited_for(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        sandbox.fail_next("GET", "/api/v4/contacts", status=502, count=2, exact=True)
        sandbox.fail_next("GET", "/api/v4/leads", status=429, count=1, exact=True)
        await company.importer(company.feed()).run()
        assert is_whole(company)
        assert company.account.health is Health.READY


async def test_an_import_without_credentials_stops_and_goes_on_when_they_are_back(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        feed = company.feed()
        await feed.ensure_started()
        sandbox.fail_next("GET", "/api/v4", status=401, count=100)
        with pytest.raises(ImportStopped):
            await company.importer(feed).run()
        assert company.account.health is Health.NEEDS_CREDENTIALS
        sandbox.clear_faults()
        company.account.resume()
        await company.importer(feed).run()
        assert is_whole(company)


async def test_a_directory_that_was_lost_is_imported_again(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        feed = company.feed()
        await company.importer(feed).run()
        company.account.directory.forget(PROJECT, CRM)
        again = company.importer(feed)
        assert again.is_needed()
        await again.run()
        assert is_whole(company)


async def test_a_child_that_only_dies_is_given_up(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        with pytest.raises(ImportStopped, match="dies"):
            async with asyncio.timeout(20):
                await company.importer(company.feed()).run()
        assert company.account.health is Health.READY


async def test_an_import_that_cannot_store_says_so_and_goes_on_when_it_can(
    tmp_path: Path, amocrm: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H6, H9: a full disk, a database that is away; it must not need a restart, nor be taken for a CRM's fault."""
    monkeypatch.setattr(connections, "_HELD_UP", 0.01)
    async with connected(tmp_path, *amocrm, **MANY_PAGES) as company:
        found = company.importer(company.feed())
        run, path, tries = found.run, found._directory, 0

        async def held_up_twice() -> Progress:
            nonlocal tries
            tries += 1
            # a folder is no file
            found._directory = tmp_path if tries == 1 else path
            if tries == 2:
                raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))
            return await run()

        monkeypatch.setattr(found, "run", held_up_twice)
        await company.hub.connections._import(found)
        assert (tries, is_whole(company)) == (3, True)
        assert company.account.health is Health.READY
    waits = [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "import.waits"]
    assert ["unable to open" in waits[0], "disk is full" in waits[1]] == [True, True], waits
