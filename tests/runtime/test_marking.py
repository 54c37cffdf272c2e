"""Steps that leave in several requests at one moment are marked as sent in one commit (DESIGN 2, X5)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from hub.runtime.marking import Marking
from hub.store.engine import Store, sqlite_url


class Counting(Store):
    """Counts what is written."""

    writes = 0

    async def write(self, fn: Callable[[Connection], Any], *, is_one: bool = False) -> Any:
        self.writes += 1
        return await super().write(fn, is_one=is_one)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counting]:
    opened = Counting(sqlite_url(tmp_path / "hub.db"))
    with opened:
        opened.write_now(lambda conn: conn.execute(text("CREATE TABLE marked (name TEXT)")))
        yield opened


def marks(name: str) -> Callable[[Connection], str]:
    def fn(conn: Connection) -> str:
        conn.execute(text("INSERT INTO marked VALUES (:name)"), {"name": name})
        return name.upper()

    return fn


def refuses(conn: Connection) -> str:
    marks("refused")(conn)
    raise ValueError("no such step")


def marked(store: Store) -> list[str]:
    return sorted(store.read_now(lambda conn: conn.execute(text("SELECT name FROM marked")).scalars().all()))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_those_ready_in_the_same_turn_share_a_commit_and_each_hears_its_own(store: Counting) -> None:
    marking: Marking[str] = Marking(store)
    heard = await asyncio.gather(*(marking.mark(marks(name)) for name in "abc"))
    assert (heard, marked(store), store.writes) == (["A", "B", "C"], ["a", "b", "c"], 1)


async def test_alone_a_step_is_marked_at_once_and_it_is_durable_when_that_is_said(store: Counting) -> None:
    """X5: a request leaves only when what it sends stands as sent, whatever happens to the process then."""
    marking: Marking[str] = Marking(store)
    for count, name in enumerate("ab", start=1):
        assert await marking.mark(marks(name)) == name.upper()
        assert (len(marked(store)), store.writes) == (count, count)


async def test_who_comes_while_a_commit_is_under_way_gets_the_next_one(store: Counting) -> None:
    """Joining one that runs already would mark nothing: its functions have been called."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(conn: Connection) -> str:
        begun.set()
        assert may_end.wait(20)
        return marks("slow")(conn)

    marking: Marking[str] = Marking(store)
    first = asyncio.create_task(marking.mark(slow))
    assert await asyncio.to_thread(begun.wait, 20)
    late = [asyncio.create_task(marking.mark(marks(name))) for name in "ab"]
    await turns(5)
    may_end.set()
    assert await asyncio.gather(first, *late) == ["SLOW", "A", "B"]
    assert (marked(store), store.writes) == (["a", "b", "slow"], 2)


async def test_what_one_raises_all_of_its_commit_hear_and_nothing_of_it_is_kept(store: Counting) -> None:
    """None of them may leave: a request that is not marked would not be looked for after a crash. The next is well."""
    marking: Marking[str] = Marking(store)
    heard = await asyncio.gather(
        *(marking.mark(fn) for fn in (marks("a"), refuses, marks("b"))), return_exceptions=True
    )
    assert [type(one) for one in heard] == [ValueError] * 3
    assert marked(store) == []
    assert (await marking.mark(marks("a")), marked(store)) == ("A", ["a"])


@pytest.mark.parametrize("place", range(3))
async def test_who_gives_up_waiting_takes_it_back_from_nobody(store: Counting, place: int) -> None:
    marking: Marking[str] = Marking(store)
    waiting = [asyncio.create_task(marking.mark(marks(name))) for name in "abc"]
    await asyncio.sleep(0)
    waiting[place].cancel()
    heard = await asyncio.gather(*waiting, return_exceptions=True)
    left = [name for one, name in enumerate("ABC") if one != place]
    assert [one for one in heard if isinstance(one, str)] == left
    assert isinstance(heard[place], asyncio.CancelledError)
    assert (marked(store), store.writes) == (["a", "b", "c"], 1)
