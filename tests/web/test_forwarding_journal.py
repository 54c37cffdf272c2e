"""The journal of forwarding answers takes little of the loop at a time (X9, DESIGN 11)."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from hub.store import forwarding_log
from hub.store.engine import Store, sqlite_url
from hub.store.forwarding_log import ForwardingEntry
from hub.store.pending import PendingWrite
from hub.web.forwarding_journal import AT_ONCE, BATCH, Journal
from hub.web.metrics import Counts

NOW = datetime(2026, 3, 2, 9, 20, tzinfo=UTC)


def entry(number: int) -> ForwardingEntry:
    return ForwardingEntry(
        project="shop",
        channel="phone",
        uuid=f"question {number}",
        call_id="",
        caller=None,
        asked_at=NOW,
        destination="",
        employee="",
        took=timedelta(milliseconds=1),
        age=None,
    )


def kept(conn: Connection) -> list[str]:
    since = NOW - timedelta(days=1)
    return sorted(found.uuid for found in forwarding_log.list_entries(conn, "shop", since=since, limit=1000))


async def test_loop_answers_others_while_a_batch_is_told_and_each_answer_is_kept_once(tmp_path: Path) -> None:
    count = BATCH * 2 + 1
    turns = 0
    told_in: list[int] = []

    def tell(number: int) -> ForwardingEntry:
        told_in.append(turns)
        return entry(number)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with Store(sqlite_url(tmp_path / "hub.db")) as store:
        journal = Journal(store, Counts(), tell)
        turning = asyncio.create_task(turn())
        async with journal.running():
            for number in range(count):
                journal.add(number)
        turning.cancel()
        assert await store.read(kept) == sorted(f"question {number}" for number in range(count))

    assert len(told_in) == count
    assert max(told_in.count(turn) for turn in set(told_in)) <= AT_ONCE


async def test_answer_that_is_being_written_when_the_hub_stops_is_kept_once(tmp_path: Path) -> None:
    begun, may_go = threading.Event(), threading.Event()

    def holding(_: Connection) -> None:
        begun.set()
        may_go.wait(10)

    with Store(sqlite_url(tmp_path / "hub.db")) as store:
        holder = asyncio.create_task(store.write(holding))
        await asyncio.to_thread(begun.wait, 10)
        journal = Journal(store, Counts(), entry)
        put = store._group.put
        is_writing = asyncio.Event()

        def watched(job: PendingWrite) -> None:
            put(job)
            is_writing.set()

        store._group.put = watched  # type: ignore[method-assign]
        async with journal.running():
            journal.add(1)
            await is_writing.wait()
            asyncio.get_running_loop().call_later(0.05, may_go.set)
        await holder
        assert journal.waiting == 0
        assert await store.read(kept) == ["question 1"]
