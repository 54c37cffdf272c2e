"""While the database is away, what comes in waits in a file of the process's own and is brought to it once (H3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hub.ports import RawRequest
from hub.runtime import spool as spool_module
from hub.runtime.services import Services
from hub.runtime.spool import Spool
from hub.store import forwarding_log, inbox
from hub.store import spool as spool_file
from hub.store.forwarding_log import ForwardingEntry
from hub.store.place import take_place
from tests.web.conftest import CHANNEL, CRM, CRM_SECRET, PROJECT, Web, serving, set_up

ROOM = 64 * 1024 * 1024
CALLER = "380501112233"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "PAUSE", timedelta(milliseconds=20))


@pytest.fixture
def services(make_services: Callable[..., Services], tmp_path: Path) -> Iterator[Services]:
    """A hub whose web process has a spool, as on PostgreSQL; its database is one that a test can take away."""
    found = make_services(public_url="https://hub.example.net")
    found.place = take_place(tmp_path / "var", "web")
    path = tmp_path / "var" / found.place.name / spool_file.FILE
    found.intake.spool = Spool(path, found.store, found.clock, most_bytes=ROOM)
    set_up(found)
    yield found
    found.close()


@pytest.fixture
async def web(services: Services) -> AsyncIterator[Web]:
    async with serving(services) as found:
        spool = spool_of(found)
        spool.wake = lambda: found.wakes.append(1)
        bringing = asyncio.create_task(spool.run())
        yield found
        bringing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await bringing


def spool_of(web: Web) -> Spool:
    spool = web.services.intake.spool
    assert spool is not None
    return spool


@contextlib.contextmanager
def no_database(web: Web) -> Iterator[None]:
    """Every write fails at once, as with a server that is down."""
    web.services.store.write_now(_rename("inbox", "away"))
    web.services.store.write_now(_rename("forwarding_log", "away_too"))
    yield
    web.services.store.write_now(_rename("away", "inbox"))
    web.services.store.write_now(_rename("away_too", "forwarding_log"))


def _rename(name: str, to: str) -> Callable[[Connection], object]:
    return lambda conn: conn.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {to}")


def stored(web: Web) -> list[inbox.Received]:
    """What the database has, in its order."""
    return web.services.store.read_now(lambda conn: inbox.unread(conn, limit=10_000))


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the state of another task
            await asyncio.sleep(0.01)


async def test_what_comes_while_the_database_is_away_reaches_it_later_in_order_and_once(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """Webhooks, forms and the CRM's webhooks are answered yes; what comes afterwards does not overtake them."""
    crm = f"/crm/{PROJECT}/{CRM}/{CRM_SECRET}"
    with caplog.at_level(logging.WARNING, logger="hub"):
        with no_database(web):
            for number in range(20):
                answer = await web.client.post(web.hook() if number % 2 else crm, content=str(number).encode())
                assert answer.status_code == 200
            assert spool_of(web).waiting == 20
            ready = await web.client.get("/readyz")
            assert (ready.status_code, ready.json()["spool"]) == (200, {"waiting": 20, "is_full": False})
            said = (await web.client.get("/metrics")).text
            assert "hub_spool_waiting 20.0" in said
            assert "hub_database_up 0.0" in said
        assert (await web.client.post(web.hook(), content=b"20")).status_code == 200
        await until(lambda: spool_of(web).waiting == 0)
    assert [int(row.request.body) for row in stored(web)] == list(range(21))
    assert {row.kind for row in stored(web)} == {"hook", "crm"}
    # told once the database has everything and the file was looked at again
    await until(lambda: bool(web.wakes))
    assert (await web.client.post(web.hook(), content=b"21")).status_code == 200
    assert int(stored(web)[-1].request.body) == 21
    assert "hub_database_up 1.0" in (await web.client.get("/metrics")).text
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert [action for action in actions if action in ("spool.begun", "spool.ended")] == ["spool.begun", "spool.ended"]


async def test_a_database_that_hangs_is_not_waited_for_and_its_late_commit_is_no_second_one(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor hears yes within its patience; the write that ends after all and the spool's are one row."""
    monkeypatch.setattr(spool_module, "_USUAL_PATIENCE", timedelta(milliseconds=100))
    monkeypatch.setattr(spool_module, "BRINGING", timedelta(milliseconds=100))
    held, blocked = threading.Event(), threading.Event()

    def block(_: object) -> None:
        blocked.set()
        held.wait(60)

    hanging = asyncio.create_task(web.services.store.write(block))
    await asyncio.to_thread(blocked.wait)
    try:
        for number in range(3):
            assert (await web.client.post(web.hook(), content=str(number).encode())).status_code == 200
        assert spool_of(web).waiting == 3
    finally:
        held.set()
    await hanging
    await until(lambda: spool_of(web).waiting == 0)
    assert [int(row.request.body) for row in stored(web)] == [0, 1, 2]


async def test_who_dies_between_bringing_and_forgetting_brings_nothing_twice(web: Web, services: Services) -> None:
    """X5: the database knows what it has by the name that the spool gave it."""
    spool = spool_of(web)
    with no_database(web):
        for number in range(5):
            await web.client.post(web.hook(), content=str(number).encode())
        file = spool._file
        found = file.read_now(lambda conn: spool_file.oldest(conn, 100))
    services.store.write_now(lambda conn: spool_module._add_all(conn, found))
    await until(lambda: spool.waiting == 0)
    assert [int(row.request.body) for row in stored(web)] == [0, 1, 2, 3, 4]


async def test_the_next_process_finds_what_waits_and_others_places_are_emptied_too(
    web: Web, services: Services, tmp_path: Path
) -> None:
    """A process that ends while the database is away loses nothing, though none of its role ever comes again."""
    left = take_place(tmp_path / "var", "web")
    assert services.place is not None
    assert left.name != services.place.name
    path = tmp_path / "var" / left.name / spool_file.FILE
    with no_database(web):
        other = Spool(path, services.store, services.clock, most_bytes=ROOM)
        request = RawRequest(method="POST", body=b"left", received_at=services.clock.now())
        await other.accept(project=PROJECT, channel=CHANNEL, kind="hook", request=request)
        other.close()
        again = Spool(path, services.store, services.clock, most_bytes=ROOM)
        assert again.waiting == 1
        again.close()
    # whoever has the place still brings its own
    assert await spool_of(web).adopt() == 0
    left.leave()
    assert await spool_of(web).adopt() == 1
    assert [row.request.body for row in stored(web)] == [b"left"]
    assert await spool_of(web).adopt() == 0


async def test_forwarding_answers_go_on_and_come_into_the_journal_later(web: Web) -> None:
    """R3: answered from the directory at hand; X1: the journal's rows are there afterwards, each once."""
    answers = []
    with no_database(web):
        for number in range(3):
            answer = await web.client.get(f"{web.forward()}?caller={CALLER}&uuid=q{number}")
            answers.append((answer.status_code, answer.text))
        await until(lambda: spool_of(web).waiting > 0)
    assert answers == [(200, answers[0][1])] * 3
    assert answers[0][1]
    await until(lambda: spool_of(web).waiting == 0 and web.app.forwarding.journal.waiting == 0)
    kept = web.services.store.read_now(lambda conn: forwarding_log.list_entries(conn, PROJECT))
    assert sorted(entry.uuid for entry in kept) == ["q0", "q1", "q2"]
    body = forwarding_log.dump_many(kept)
    web.services.store.write_now(lambda conn: forwarding_log.append_new(conn, forwarding_log.load_many(body)))
    assert len(web.services.store.read_now(lambda conn: forwarding_log.list_entries(conn, PROJECT))) == 3


async def test_a_full_spool_refuses_with_one_line_and_goes_on_when_there_is_room(
    web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """503 is honest: what was answered 200 is there, what was answered 503 is not, and the file is whole."""
    spool = spool_of(web)
    spool._file.write_now(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count = 40"))
    taken: list[bytes] = []
    with caplog.at_level(logging.WARNING, logger="hub"):
        with no_database(web):
            statuses = []
            for number in range(60):
                body = b"%d %s" % (number, b"x" * 4000)
                status = (await web.client.post(web.hook(), content=body)).status_code
                statuses.append(status)
                if status == 200:
                    taken.append(body)
            assert statuses.count(503) > 10
            assert statuses[:10] == [200] * 10
            assert (await web.client.get("/readyz")).status_code == 503
            assert "hub_spool_full 1.0" in (await web.client.get("/metrics")).text
        await until(lambda: spool.waiting == 0)
        assert (await web.client.post(web.hook(), content=b"after")).status_code == 200
        assert (await web.client.get("/readyz")).status_code == 200
    assert [row.request.body for row in stored(web)] == [*taken, b"after"]
    refusals = [record for record in caplog.records if getattr(record, "action", "") == "intake.failed"]
    assert len(refusals) == 1
    assert "full" in refusals[0].getMessage()
    with contextlib.closing(sqlite3.connect(tmp_path / "var" / "web-1" / spool_file.FILE)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


FULL_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from hub.ports import RawRequest
from hub.store import inbox
from hub.store.engine import Store, sqlite_url

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
path = Path(sys.argv[1])
request = RawRequest(method="POST", body=b"x" * 20_000, received_at=datetime(2026, 3, 2, tzinfo=UTC))
done = refused = 0

def one(store):
    store.write_now(lambda conn: inbox.add(conn, project="p", channel="c", kind="hook", request=request))

with Store(sqlite_url(path)) as store:
    one(store)
    # the disk is full: no file may grow beyond this
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, hard))
    for _ in range(80):
        try:
            one(store)
            done += 1
        except Exception as err:
            refused += 1
            problem = str(getattr(err, "orig", err))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    # there is room again, and the same process goes on
    one(store)
    kept = store.read_now(lambda conn: len(inbox.unread(conn, limit=1000)))
print(done + 2, refused, kept, problem)
"""


def test_a_full_disk_loses_nothing_that_was_accepted_and_damages_nothing(tmp_path: Path) -> None:
    """The truth itself (SQLite): errors while there is no room, the same process goes on once there is."""
    path = tmp_path / "hub.db"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    done, refused, kept, *problem = ran.stdout.split()
    assert int(refused) > 0
    assert int(done) == int(kept) > 2
    assert problem
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM inbox").fetchone() == (int(kept),)


def answered(services: Services, *, took: timedelta, age: timedelta | None = None) -> ForwardingEntry:
    return ForwardingEntry(
        project=PROJECT,
        channel=CHANNEL,
        uuid="",
        call_id="",
        caller=None,
        asked_at=services.clock.now(),
        destination="",
        employee="",
        took=took,
        age=age,
    )


@pytest.mark.usefixtures("each_engine")
async def test_an_answer_from_facts_of_last_year_is_journalled(services: Services) -> None:
    """X1: a CRM that nobody connects again; its age in milliseconds is more than the column holds."""
    old = answered(services, took=timedelta(milliseconds=1), age=timedelta(days=365))
    await services.store.write(lambda conn: forwarding_log.append_many(conn, [old]))
    [kept] = services.store.read_now(lambda conn: forwarding_log.list_entries(conn, PROJECT))
    assert kept.age is not None
    assert kept.age > timedelta(days=24)


@pytest.mark.parametrize("each_engine", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_what_the_database_can_never_take_holds_up_nothing_that_came_after_it(
    each_engine: None, services: Services, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H3: it is set aside, loudly, kept, and tried again by the next process."""

    async def send(spool: Spool, body: bytes) -> None:
        request = RawRequest(method="POST", body=body, received_at=services.clock.now())
        await spool.accept(project=PROJECT, channel=CHANNEL, kind="hook", request=request)

    spool = services.intake.spool
    assert spool is not None
    # more microseconds than the column holds
    await spool.keep_answers([answered(services, took=timedelta(hours=1))])
    for body in (b"2", b"3"):
        await send(spool, body)
    assert spool.waiting == 3
    write, tries = services.store.write, 0

    async def away_for_the_third(fn: Callable[[Connection], Any]) -> Any:
        nonlocal tries
        tries += 1
        if tries == 3:
            raise OSError("the database is away")
        return await write(fn)

    with caplog.at_level(logging.ERROR, logger="hub.runtime.spool"), monkeypatch.context() as patch:
        patch.setattr(services.store, "write", away_for_the_third)
        with pytest.raises(OSError, match="away"):
            await spool.bring_some()
        assert spool.waiting == 2, "the first one waits no more"
        assert await spool.bring_some() == 2
    assert [row.request.body for row in services.store.read_now(lambda conn: inbox.unread(conn, limit=9))] == [
        b"2",
        b"3",
    ]
    assert (spool.waiting, spool.refused) == (0, 1)
    assert getattr(caplog.records[-1], "action", "") == "spool.refused"
    await send(spool, b"4")
    assert spool.waiting == 0, "the way to the database is open"
    spool.close()
    again = Spool(spool.path, services.store, services.clock, most_bytes=ROOM)
    assert again.waiting == 1
    await again.bring_some()
    assert (again.waiting, again.refused) == (0, 1)
    again.close()
