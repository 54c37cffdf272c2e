"""One pace for one account: never more than allowed in any window, the urgent first, pauses for all (X6)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.clock import FakeClock, SystemClock
from hub.ports import Pace
from hub.runtime.pace import PacedTransport, Pacer, Urgency, counted, urgency
from hub.store.turns import on_behalf_of


class LoopClock:
    """The time of a loop whose time is only told."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class ToldTimeLoop(asyncio.SelectorEventLoop):
    """A loop that never waits: when nothing is ready, its time jumps to the next timer."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__()
        self._told = clock

    def time(self) -> float:
        return self._told.seconds

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # the loop's own lists
            self._told.seconds = max(self._told.seconds, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def most_in_a_window(moments: list[float], seconds: float) -> int:
    """The most of ``moments`` that lie within any window of ``seconds``."""
    window: deque[float] = deque()
    most = 0
    for moment in sorted(moments):
        window.append(moment)
        while moment - window[0] >= seconds:
            window.popleft()
        most = max(most, len(window))
    return most


REQUESTS = st.lists(
    st.tuples(
        st.floats(0, 4),  # when it is wanted
        st.sampled_from(list(Urgency)),
        st.floats(0, 1.5),  # how long the answer takes
        st.floats(0, 1),  # at which share of that it arrives
    ),
    min_size=1,
    max_size=40,
)


@given(REQUESTS, st.integers(1, 7), st.sampled_from([0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_no_window_ever_holds_more_arrivals_than_allowed(
    wanted: list[tuple[float, Urgency, float, float]], limit: int, per: float
) -> None:
    """X6, DESIGN 4: whatever a request's way takes, however urgent it is; and every request gets its turn."""
    clock = LoopClock()
    loop = ToldTimeLoop(clock)
    arrived: list[float] = []

    async def ask(pacer: Pacer, after: float, how: Urgency, takes: float, share: float) -> None:
        await asyncio.sleep(after)
        with urgency(how):
            place = await pacer.acquire()
        pacer.sent(place)
        await asyncio.sleep(min(takes * share, pacer.LONGEST.total_seconds()))
        arrived.append(clock.seconds)
        await asyncio.sleep(takes * (1 - share))
        pacer.answered(place)

    async def run() -> None:
        pacer = Pacer(Pace(requests=limit, per=timedelta(seconds=per)), clock)
        async with asyncio.TaskGroup() as group:
            for one in wanted:
                group.create_task(ask(pacer, *one))

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    assert len(arrived) == len(wanted)
    assert most_in_a_window(arrived, per) <= limit


def in_told_time(check: object) -> None:
    """Run the coroutine function ``check(clock)`` in told time."""
    clock = LoopClock()
    loop = ToldTimeLoop(clock)
    try:
        loop.run_until_complete(check(clock))  # type: ignore[operator]
    finally:
        loop.close()


def test_the_urgent_are_served_first_and_equals_by_age() -> None:
    """DESIGN 4: popups, records, retries, imports; a queue of the one does not hold up the other."""

    async def check(clock: LoopClock) -> None:
        pacer = Pacer(Pace(requests=1), clock)
        served: list[str] = []

        async def ask(name: str, how: Urgency) -> None:
            with urgency(how):
                await pacer.acquire()
            served.append(name)

        async with asyncio.TaskGroup() as group:
            for name, how in (
                ("first", Urgency.IMPORT),
                ("import 1", Urgency.IMPORT),
                ("import 2", Urgency.IMPORT),
                ("retry", Urgency.RETRY),
                ("record 1", Urgency.RECORD),
                ("record 2", Urgency.RECORD),
                ("popup", Urgency.POPUP),
            ):
                group.create_task(ask(name, how))
                await asyncio.sleep(0)
        assert served == ["first", "popup", "record 1", "record 2", "retry", "import 1", "import 2"]

    in_told_time(check)


def test_a_pause_stops_everybody_and_grows_until_the_vendor_answers() -> None:
    """DESIGN 4: a 429 overrules; what the vendor names is kept to the second."""

    async def check(clock: LoopClock) -> None:
        pacer = Pacer(Pace(requests=7), clock)
        began = clock.seconds
        pacer.pause(timedelta(seconds=5))
        with urgency(Urgency.POPUP):
            await pacer.acquire()
        assert clock.seconds - began == pytest.approx(5, abs=0.01)
        assert [round(pacer.pause() / expected) for expected in (2, 4, 8, 16, 32, 60, 60)] == [1] * 7
        pacer.succeeded()
        assert pacer.pause() < 1.2

    in_told_time(check)


def test_a_queue_of_imports_leaves_room_for_a_record() -> None:
    """X6: requests are put together when they can leave; behind an import they have to queue, or never would."""

    async def check(clock: LoopClock) -> None:
        pacer = Pacer(Pace(requests=2), clock)
        assert pacer.room_for(Urgency.RETRY) == 2
        with urgency(Urgency.IMPORT):
            imports = [asyncio.create_task(pacer.acquire()) for _ in range(9)]
            await asyncio.sleep(0)
        assert pacer.room_for(Urgency.RETRY) == 1
        record = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        assert pacer.room_for(Urgency.RETRY) == 0
        # of one who asks page after page there is always one before whoever looks: behind it, but not never
        assert pacer.room_for(Urgency.RETRY, has_some=False) == 1
        await record
        assert sum(task.done() for task in imports) <= 3
        await asyncio.gather(*imports)
        assert pacer.room_for(Urgency.RETRY) < 2
        pacer.pause(timedelta(seconds=5))
        assert pacer.room_for(Urgency.RETRY) == pacer.room_for(Urgency.RETRY, has_some=False) == 0

    in_told_time(check)


def test_a_request_is_put_together_a_little_before_there_is_a_place_for_it() -> None:
    """X6: while it is, the place would be idle; no more of them than there will be places."""

    async def check(clock: LoopClock) -> None:
        pacer = Pacer(Pace(requests=2), clock)
        await pacer.acquire()
        await asyncio.sleep(0.5)
        await pacer.acquire()
        assert [pacer.room_for(Urgency.RETRY, within=seconds) for seconds in (0.0, 0.1, 0.6, 1.1)] == [0, 0, 1, 2]
        waiting = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        assert pacer.room_for(Urgency.RETRY, within=0.6) == 0
        pacer.pause(timedelta(seconds=1))
        assert pacer.room_for(Urgency.RETRY, within=1.1) == 0
        await waiting

    in_told_time(check)


def test_who_gives_up_waiting_uses_no_place() -> None:
    """X6: a cancelled request leaves its turn to the next."""

    async def check(clock: LoopClock) -> None:
        pacer = Pacer(Pace(requests=1), clock)
        await pacer.acquire()
        gone = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        assert pacer.waiting == 1
        gone.cancel()
        began = clock.seconds
        await pacer.acquire()
        assert clock.seconds - began < 1.1
        assert pacer.granted == 2
        assert pacer.headroom == 0

    in_told_time(check)


async def test_each_request_is_counted_where_it_was_caused() -> None:
    """H5: the cost of an interaction includes everything that was sent on its behalf."""
    transport = PacedTransport(
        httpx.MockTransport(lambda _: httpx.Response(204)), Pacer(Pace(requests=50), SystemClock())
    )
    async with httpx.AsyncClient(transport=transport) as http:
        with counted() as cost:
            await http.get("http://127.0.0.1/")
            await http.get("http://127.0.0.1/")
        await http.get("http://127.0.0.1/")
    assert cost.requests == 2


async def left(request: httpx.Request) -> None:
    """What httpcore tells once all of a request is written."""
    await request.extensions["trace"]("http11.send_request_body.complete", {})


def test_a_request_that_finds_no_way_out_for_long_is_counted_when_it_leaves() -> None:
    """X6: a slow connection, or a process that stood still, lets nobody leave beside those whose turn was before."""

    async def check(clock: LoopClock) -> None:
        arrived: list[float] = []

        async def late(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(3 if not arrived else 0)
            await left(request)
            arrived.append(clock.seconds)
            return httpx.Response(204, request=request)

        transport = PacedTransport(httpx.MockTransport(late), Pacer(Pace(requests=2), clock))
        async with httpx.AsyncClient(transport=transport) as http:
            await asyncio.gather(*(http.get("http://127.0.0.1/") for _ in range(6)))
        assert len(arrived) == 6
        assert most_in_a_window(arrived, 1.0) == 2

    in_told_time(check)


def test_a_request_that_hangs_holds_its_place_for_two_windows_at_most() -> None:
    """H4: a vendor that hangs slows its account, and does not stop it for as long as the time-out lasts."""

    async def check(clock: LoopClock) -> None:
        async def hang(request: httpx.Request) -> httpx.Response:
            await left(request)
            await asyncio.sleep(60)
            raise AssertionError(request)

        pacer = Pacer(Pace(requests=1), clock)
        async with httpx.AsyncClient(transport=PacedTransport(httpx.MockTransport(hang), pacer)) as http:
            hanging = asyncio.create_task(http.get("http://127.0.0.1/"))
            await asyncio.sleep(0)
            began = clock.seconds
            await pacer.acquire()
            window = pacer.pace.per + pacer.MARGIN
            assert clock.seconds - began == pytest.approx((pacer.LONGEST + window).total_seconds())
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)

    in_told_time(check)


def test_a_request_that_nobody_waits_for_any_more_may_still_arrive() -> None:
    """X6: who gives up after a moment has not taken it back; the vendor counts it when it comes."""

    async def check(clock: LoopClock) -> None:
        arrived: list[float] = []
        ways = iter((0.9, 0.0))

        async def arrive(request: httpx.Request) -> httpx.Response:
            await left(request)
            asyncio.get_running_loop().call_later(next(ways), lambda: arrived.append(clock.seconds))
            await asyncio.sleep(2)
            return httpx.Response(204, request=request)

        transport = PacedTransport(httpx.MockTransport(arrive), Pacer(Pace(requests=1), clock))
        async with httpx.AsyncClient(transport=transport) as http:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await http.get("http://127.0.0.1/")
            await http.get("http://127.0.0.1/")
        assert len(arrived) == 2
        assert most_in_a_window(arrived, 1.0) == 1

    in_told_time(check)


@given(REQUESTS, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_no_more_are_on_their_way_than_the_vendor_takes_at_once(
    wanted: list[tuple[float, Urgency, float, float]], limit: int
) -> None:
    """X6: a vendor who limits concurrency counts from arrival to answer, however long that is; all get their turn."""
    clock = LoopClock()
    loop = ToldTimeLoop(clock)
    under_way, most = 0, 0

    async def ask(pacer: Pacer, at: float, how: Urgency, took: float) -> None:
        nonlocal under_way, most
        await asyncio.sleep(at)
        with urgency(how):
            place = await pacer.acquire()
        pacer.sent(place)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(took * 3)
        under_way -= 1
        pacer.answered(place)

    async def check() -> None:
        pacer = Pacer(Pace(requests=100, in_flight=limit), clock)
        await asyncio.gather(*(ask(pacer, at, how, took) for at, how, took, _ in wanted))
        assert pacer.granted == len(wanted)
        assert pacer.ready_in == 0

    try:
        loop.run_until_complete(check())
    finally:
        loop.close()
    assert most <= limit


async def test_of_projects_that_share_a_limit_the_one_that_asked_least_is_next() -> None:
    """H8: one project has fifty requests waiting; another's one goes out with the next place, not after them."""
    clock = FakeClock(datetime(2026, 3, 2, tzinfo=UTC))
    pacer, order = Pacer(Pace(requests=2), clock), list[str]()

    async def ask(project: str) -> None:
        with on_behalf_of(project):
            await pacer.acquire()
        order.append(project)

    flood = [asyncio.create_task(ask("flood")) for _ in range(50)]
    await asyncio.sleep(0)
    with on_behalf_of("shop"):
        # the flood's requests are no reason not to ask
        assert pacer.room_for(Urgency.RECORD) == 1
    shop = asyncio.create_task(ask("shop"))
    await asyncio.sleep(0)
    assert order == ["flood", "flood"]
    clock.advance(timedelta(seconds=1.1))
    pacer._serve()
    await shop
    await asyncio.sleep(0)
    assert sorted(order) == ["flood", "flood", "flood", "shop"]
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
