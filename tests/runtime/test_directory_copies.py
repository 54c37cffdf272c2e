"""The directory's copies in several processes on one PostgreSQL: the owner tells, the others follow (H6, H9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.clock import FakeClock, SystemClock
from hub.core.phone import parse_phone
from hub.core.records import Contact, RecordKind, RecordRef
from hub.engine.directory_copies import DirectoryCopies
from hub.ports import Changes
from hub.store import cluster, directory_stream
from hub.store.directory import Directory
from hub.store.engine import Store

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with Store(postgres_url, clock=FakeClock(NOW)) as opened:
        opened.write_now(cluster.prepare)
        yield opened


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another thread or process does the work
            await asyncio.sleep(0.03)


async def test_a_copy_follows_the_owner_and_goes_on_as_owner(store: Store, tmp_path: Path) -> None:
    """H6, H9: records, deletions and marks reach a file on another machine, which can take the account over."""
    phone = parse_phone("0501112233", "UA")
    assert phone is not None
    with Directory(tmp_path / "a.db") as here, Directory(tmp_path / "b.db") as there:
        rung = asyncio.Event()
        owner = DirectoryCopies(store, _Projects(), here, SystemClock(), ring=rung.set)  # type: ignore[arg-type]
        copy = DirectoryCopies(store, _Projects(), there, SystemClock(), ring=lambda: None)  # type: ignore[arg-type]
        running = [asyncio.create_task(one.run()) for one in (owner, copy)]
        await asyncio.sleep(0)
        await owner.own("auto", "amocrm")
        contact = Contact(id="1", name="Ірина", phones=(phone,))
        await here.fold_async(
            "auto", "amocrm", Changes(contacts=(contact,), as_of=NOW), NOW, marks={"feed": "cursor-7"}
        )
        async with asyncio.timeout(10):
            await rung.wait()
        copy.wake()
        await until(lambda: there.lookup("auto", "amocrm", phone).contacts == (contact,))
        assert there.mark("auto", "amocrm", "feed") == "cursor-7"
        assert there.as_of("auto", "amocrm") == NOW
        # the owner dies with the last change told; the other one goes on
        later = NOW + timedelta(minutes=5)
        gone = Changes(deleted=(RecordRef(kind=RecordKind.CONTACT, id="1"),))
        await here.fold_async("auto", "amocrm", gone, later)
        await owner.disown("auto", "amocrm")
        await copy.own("auto", "amocrm")
        assert there.lookup("auto", "amocrm", phone).contacts == ()
        await there.fold_async("auto", "amocrm", Changes(contacts=(contact,)), later + timedelta(hours=1))
        await until(lambda: here.lookup("auto", "amocrm", phone).contacts == (contact,))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_record_that_is_read_again_and_is_the_same_is_told_again_only_by_and_by(
    store: Store, tmp_path: Path
) -> None:
    """H6, X9: each barrier reads the latest records; others take them for half a minute older at most, never newer."""
    contact = Contact(id="1", name="Ірина", updated_at=NOW)
    with Directory(tmp_path / "a.db") as here:
        owner = DirectoryCopies(store, _Projects(), here, SystemClock(), ring=lambda: None)  # type: ignore[arg-type]
        running = asyncio.create_task(owner.run())
        await asyncio.sleep(0)

        async def told(second: int, found: Contact = contact) -> tuple[timedelta, bytes | None]:
            """Others' row, once it is told what was read at ``second``: when that was read, and what it was."""
            read_at, mark = NOW + timedelta(seconds=second), {"feed": f"at {second}"}
            await here.fold_async("auto", "amocrm", Changes(contacts=(found,)), read_at, marks=mark)
            changed = directory_stream.Changed(rows=(), marks={}, upto=0)

            def is_told() -> bool:
                nonlocal changed
                changed = store.read_now(lambda conn: directory_stream.changes_after(conn, "auto", "amocrm", 0))
                return changed.marks.get("feed") == mark["feed"]

            await until(is_told)
            ((_, _, _, seen, body),) = changed.rows
            return timedelta(microseconds=seen) - (NOW - datetime(1970, 1, 1, tzinfo=UTC)), body

        await owner.own("auto", "amocrm")
        first, body = await told(0)
        assert first == timedelta()
        assert await told(10) == (timedelta(), body)
        assert await told(29) == (timedelta(), body)
        assert await told(30) == (timedelta(seconds=30), body)
        # whatever changed is told at once, also back to what it was
        seen, other = await told(31, replace(contact, name="Олена"))
        assert seen == timedelta(seconds=31)
        assert other != body
        assert await told(32) == (timedelta(seconds=32), body)
        # what an import told meanwhile, or another process, is not what was told last
        await owner.tell("auto", "amocrm", [(1, "1")], {})
        assert await told(33) == (timedelta(seconds=33), body)
        await owner.disown("auto", "amocrm")
        await owner.own("auto", "amocrm")
        assert await told(34) == (timedelta(seconds=34), body)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_copies_follow_an_import_while_it_goes_on(store: Store, tmp_path: Path) -> None:
    """H6, H9: what the importing child put into its parent's file is told page by page, and is in every copy."""
    with (
        Directory(tmp_path / "a.db") as here,
        Directory(tmp_path / "a.db") as child,
        Directory(tmp_path / "b.db") as there,
    ):
        rung = asyncio.Event()
        owner = DirectoryCopies(store, _Projects(), here, SystemClock(), ring=rung.set)  # type: ignore[arg-type]
        copy = DirectoryCopies(store, _Projects(), there, SystemClock(), ring=lambda: None)  # type: ignore[arg-type]
        await owner.own("auto", "amocrm")
        copying = asyncio.create_task(copy.run())
        await until(lambda: copy.is_complete)
        assert copy.age(("auto", "amocrm")) is not None
        for page in range(2):
            ids = [str(page * 700 + number) for number in range(700)]
            child.fold("auto", "amocrm", Changes(contacts=tuple(Contact(id=id, name="") for id in ids)), NOW)
            await owner.tell("auto", "amocrm", [(1, id) for id in ids], {"feed": f"page {page}"})
            assert rung.is_set()
            copy.wake()
            await until(lambda: there.counts("auto", "amocrm").get(RecordKind.CONTACT) == len(ids) * (page + 1))  # noqa: B023 - awaited at once
            await until(lambda: there.mark("auto", "amocrm", "feed") == f"page {page}")  # noqa: B023 - awaited at once
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)


class _Connection:
    name = "amocrm"


class _Project:
    name = "auto"
    connections = (_Connection(),)


class _Projects:
    """What the copies ask of the projects: which accounts there are."""

    def all(self) -> list[_Project]:
        return [_Project()]
