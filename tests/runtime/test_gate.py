"""Background work passes the event loop slice by slice, in the projects' turns, and after every request (H8)."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.engine.gate import Gate
from hub.store.turns import OWN, Shares, on_behalf_of, whose


class Ticking:
    """Processor time that passes only when a slice says so."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self) -> float:
        return self.spent

    def work(self, seconds: float) -> None:
        self.spent += seconds


@contextmanager
def gated(ticking: Ticking) -> Iterator[Gate]:
    gate = Gate(Shares(lambda: 0.0), processor_time=ticking)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(gate.make_task)
    try:
        yield gate
    finally:
        loop.set_task_factory(None)


async def test_who_comes_with_one_call_goes_behind_the_slice_under_way_and_not_behind_the_flood() -> None:
    ticking, done = Ticking(), list[str]()

    async def call(project: str) -> None:
        for _ in range(3):
            ticking.work(0.002)
            await asyncio.sleep(0)
        done.append(project)

    with gated(ticking):
        with on_behalf_of("flood"):
            flood = [asyncio.create_task(call("flood")) for _ in range(1000)]
        while ticking.spent < 0.1:  # noqa: ASYNC110 - the loop turns, that is all
            await asyncio.sleep(0)
        before = len(done)
        began = ticking.spent
        with on_behalf_of("shop"):
            shop = asyncio.create_task(call("shop"))
        await shop
        # its own three slices, and of the flood at most the one that had leave already for each
        assert ticking.spent - began <= 6 * 0.002 + 1e-9
        assert len(done) - before <= 4
        await asyncio.gather(*flood)
    assert Counter(done) == {"flood": 1000, "shop": 1}


async def test_who_uses_little_goes_on_at_once_until_it_has_had_its_share() -> None:
    """A quiet project's call waits for no gap, yet not so often that a request would wait for it (H8)."""
    ticking, order = Ticking(), list[str]()

    async def call(project: str, seconds: float, slices: int) -> None:
        for _ in range(slices):
            order.append(project)
            ticking.work(seconds)
            await asyncio.sleep(0)

    with gated(ticking) as gate:
        with on_behalf_of("flood"):
            flood = [asyncio.create_task(call("flood", 0.01, 20)) for _ in range(5)]
        while len(order) < 10:  # noqa: ASYNC110 - the loop turns, that is all
            await asyncio.sleep(0)
        assert gate.is_open("shop")
        assert not gate.is_open("flood")
        with on_behalf_of("shop"):
            shop = asyncio.create_task(call("shop", 0.0005, 12))
        await shop
        mine = "".join(one[0] for one in order[order.index("shop") : len(order) - order[::-1].index("shop")])
        gate.ended("shop", Gate.LIGHT)
        assert not gate.is_open("shop")
        await asyncio.gather(*flood)
    # 2 ms are four slices at once; then the loop looks at its sockets, and one of the flood's may go on
    assert all(part in ("", "f") for part in mine.replace("ssss", "").split("s"))
    assert mine.count("f") <= 12 // 4


async def test_no_slice_of_a_flood_begins_between_those_of_who_uses_little() -> None:
    """Each would have to end before the answer to a question, or a commit, is seen (H8)."""
    ticking, order = Ticking(), list[str]()

    async def flood() -> None:
        for _ in range(20):
            order.append("flood")
            ticking.work(0.004)
            await asyncio.sleep(0)

    async def call(gate: Gate, commit: asyncio.Future[None]) -> None:
        for _ in range(6):
            order.append("shop")
            ticking.work(0.0001)
            await asyncio.sleep(0)
        await gate.shares.serve("shop", commit)
        order.append("shop")

    with gated(ticking) as gate:
        # a loaded machine may take its time for a pass of the loop
        gate.HOLD = gate.HOLD_FOR_LIGHT = 60.0
        with on_behalf_of("flood"):
            many = [asyncio.create_task(flood()) for _ in range(50)]
        while len(order) < 10:  # noqa: ASYNC110 - the loop turns, that is all
            await asyncio.sleep(0)
        commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with on_behalf_of("shop"):
            shop = asyncio.create_task(call(gate, commit))
        for _ in range(50):
            await asyncio.sleep(0)
        commit.set_result(None)
        await shop
        mine = order[order.index("shop") : len(order) - order[::-1].index("shop")]
        assert mine == ["shop"] * 7
        await asyncio.gather(*many)
    assert order.count("flood") == 1000


@given(costs=st.lists(st.sampled_from([0.0, 0.0001, 0.003]), min_size=3, max_size=12), pauses=st.integers(0, 3))
def test_slices_of_one_project_begin_in_the_order_in_which_they_became_ready(costs: list[float], pauses: int) -> None:
    """A9: what was stored first is announced first, whoever else has leave or waits for it meanwhile."""

    async def run() -> list[int]:
        ticking, order = Ticking(), list[int]()
        loop = asyncio.get_running_loop()
        stored = [loop.create_future() for _ in costs]

        async def announce(place: int) -> None:
            await stored[place]
            order.append(place)
            ticking.work(costs[place])

        with gated(ticking) as gate:
            gate.shares.charge("flood", 100)
            with on_behalf_of("shop"):
                reading = [asyncio.create_task(announce(place)) for place in range(len(costs))]
            while not gate.is_open("shop"):  # noqa: ASYNC110 - the loop turns, that is all
                await asyncio.sleep(0)
            for one in stored:
                one.set_result(None)
                for _ in range(pauses):
                    await asyncio.sleep(0)
            await asyncio.gather(*reading)
        return order

    assert asyncio.run(run()) == list(range(len(costs)))


async def test_nothing_of_the_background_begins_while_a_request_waits_for_its_commit() -> None:
    """H3: the thread that writes would have to wait for the core, and the request with it."""
    ticking, order = Ticking(), list[str]()

    async def background() -> None:
        for _ in range(20):
            order.append("background")
            ticking.work(0.004)
            await asyncio.sleep(0)

    with gated(ticking) as gate:
        # a loaded machine may take its time for a pass of the loop
        gate.HOLD = gate.HOLD_FOR_LIGHT = 60.0
        with on_behalf_of("shop"):
            working = asyncio.create_task(background())
        while len(order) < 5:  # noqa: ASYNC110 - the loop turns, that is all
            await asyncio.sleep(0)
        commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request = asyncio.create_task(gate.shares.serve(None, commit))
        for _ in range(50):
            await asyncio.sleep(0)
        # one may have had leave already
        assert len(order) <= 6
        commit.set_result(None)
        await request
        await working
    assert len(order) == 20


@pytest.mark.parametrize("owner", ["shop", None])
async def test_who_uses_little_holds_a_flood_up_for_milliseconds_and_not_for_good(owner: str | None) -> None:
    ticking, done = Ticking(), list[str]()

    async def flood() -> None:
        for _ in range(5):
            ticking.work(0.004)
            await asyncio.sleep(0)
        done.append("flood")

    async def call(gate: Gate, commit: asyncio.Future[None]) -> None:
        await gate.shares.serve(owner, commit)
        done.append("shop")

    with gated(ticking) as gate:
        gate.shares.charge("flood", 1.0)
        with on_behalf_of("flood"):
            many = [asyncio.create_task(flood()) for _ in range(3)]
        commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with on_behalf_of(owner):
            shop = asyncio.create_task(call(gate, commit))
        # the disk does not answer
        async with asyncio.timeout(30):
            await asyncio.gather(*many)
        assert done == ["flood"] * 3
        commit.set_result(None)
        await shop


async def test_a_request_is_answered_between_two_slices_whatever_waits() -> None:
    ticking, order = Ticking(), list[str]()

    async def slices(number: int) -> None:
        for _ in range(5):
            order.append(f"slice {number}")
            ticking.work(0.001)
            await asyncio.sleep(0)

    async def request() -> None:
        for _ in range(3):
            order.append("request")
            await asyncio.sleep(0)

    with gated(ticking):
        with on_behalf_of("flood"):
            flood = [asyncio.create_task(slices(number)) for number in range(100)]
        await asyncio.sleep(0)
        for _ in range(5):
            began = len(order)
            await asyncio.create_task(request())
            met = [one for one in order[began:] if one != "request"]
            # accepted, read and answered: at most one slice goes before each, though a hundred wait
            assert len(met) <= 2, order[began:]
        await asyncio.gather(*flood)
    assert order.count("request") == 15
    assert len(order) == 515


@given(st.lists(st.sampled_from([0.0007, 0.001, 0.005, 0.012]), min_size=2, max_size=5))
def test_what_the_core_has_left_is_shared_by_time_and_not_by_number(costs: list[float]) -> None:
    """Each project's slices cost something else; after any while all have had about as much."""
    longest = max(costs)

    async def run() -> dict[str, float]:
        ticking, used = Ticking(), dict.fromkeys((f"p{number}" for number in range(len(costs))), 0.0)

        async def work(project: str, cost: float) -> None:
            while True:
                used[project] += cost
                ticking.work(cost)
                await asyncio.sleep(0)

        with gated(ticking):
            tasks = []
            for number, cost in enumerate(costs):
                with on_behalf_of(f"p{number}"):
                    # the more tasks the more slices wait: it must not help
                    tasks += [asyncio.create_task(work(f"p{number}", cost)) for _ in range(1 + number * 3)]
            while ticking.spent < 40 * longest:  # noqa: ASYNC110 - the loop turns, that is all
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return used

    used = asyncio.run(run())
    assert all(used.values())
    # the first ones go before anybody is known to have used anything
    assert max(used.values()) - min(used.values()) <= 3 * longest + 1e-9, used


async def test_answers_errors_and_cancelling_reach_the_work_as_without_a_gate() -> None:
    ticking, seen = Ticking(), list[str]()

    async def fails() -> None:
        ticking.work(0.01)
        await asyncio.sleep(0)
        raise ValueError("told")

    async def waits() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return ""

    async def hurries() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("too late")
        return "done"

    with gated(ticking), on_behalf_of("shop"):
        busy = [asyncio.create_task(fails()) for _ in range(20)]
        waiting = asyncio.create_task(waits())
        hurrying = asyncio.create_task(hurries())
        results = await asyncio.gather(*busy, return_exceptions=True)
        assert [str(result) for result in results] == ["told"] * 20
        assert await hurrying == "done"
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert seen == ["too late", "cancelled"]


async def test_one_that_is_cancelled_while_it_waits_for_its_turn_keeps_nobody_out() -> None:
    ticking, done = Ticking(), list[int]()

    async def work(number: int) -> None:
        ticking.work(0.01)
        await asyncio.sleep(0)
        ticking.work(0.01)
        done.append(number)

    with gated(ticking), on_behalf_of("shop"):
        tasks = [asyncio.create_task(work(number)) for number in range(30)]
        for _ in range(9):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert set(done) >= set(range(1, 30, 2))
        done.clear()
        await asyncio.wait_for(asyncio.create_task(work(99)), 60)
    assert done == [99]


async def test_what_is_begun_on_behalf_of_a_project_is_its_own_and_a_request_is_nobodys() -> None:
    found: dict[str, str | None] = {}

    async def child(name: str) -> None:
        await asyncio.sleep(0)
        found[name] = whose()

    async def parent() -> None:
        await asyncio.gather(child("inherited"))
        with on_behalf_of("bank"):
            await child("changed")

    with gated(Ticking()):
        await asyncio.create_task(child("request"))
        with on_behalf_of(OWN):
            await asyncio.create_task(child("own"))
        with on_behalf_of("shop"):
            await asyncio.create_task(parent())
    assert found == {"request": None, "own": OWN, "inherited": "shop", "changed": "bank"}


async def test_one_that_is_cancelled_before_it_begins_leaves_nothing_that_nobody_awaited() -> None:
    """A coroutine that nobody ends warns when it is collected, and warnings are errors here."""

    async def work() -> None:
        raise AssertionError("it was cancelled before")

    coroutine = work()
    with gated(Ticking()), on_behalf_of("shop"):
        task = asyncio.create_task(coroutine)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_what_a_library_began_and_gives_up_before_its_turn_leaves_nothing_that_nobody_awaited() -> None:
    """HTTP is asked through anyio: a connection that is given up while the gate is shut is begun, or ended in order."""
    ticking = Ticking()

    async def connects() -> None:
        ticking.work(0.01)
        await asyncio.Event().wait()

    async def floods() -> None:
        for _ in range(10):
            ticking.work(0.01)
            await asyncio.sleep(0)

    connecting, begun = [connects() for _ in range(5)], asyncio.Event()
    left = iter(connecting)

    async def asks() -> None:
        async with anyio.create_task_group() as group:
            for _ in connecting:
                group.start_soon(lambda: next(left))
            begun.set()

    with gated(ticking), on_behalf_of("shop"):
        flood = [asyncio.create_task(floods()) for _ in range(20)]
        asking = asyncio.create_task(asks())
        await begun.wait()
        asking.cancel()
        await asyncio.gather(asking, *flood, return_exceptions=True)
    assert {inspect.getcoroutinestate(attempt) for attempt in connecting} == {inspect.CORO_CLOSED}
