"""Many processes write at once on PostgreSQL: what reads before it writes is still right (H3, H9, X12).

A barrier lets them begin together, and some tests hold one transaction open in the middle of another.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from hub.core.interaction import ClientId
from hub.core.outgoing import Delivery, Outgoing, OutgoingState, Receipt
from hub.core.phone import Phone
from hub.errors import ConfigurationError
from hub.store import (
    dues,
    events,
    outgoing,
    policies,
    postgres,
    projects,
    rota,
    runs,
    shared,
    users,
)
from hub.store.clients import JoinRules
from hub.store.connection_state import ConnectionStates
from hub.store.crypto import Cipher
from hub.store.dues import Due
from hub.store.engine import Store
from tests.store.at_once import RunAtOnce, each

pytestmark = pytest.mark.postgres

RULES = JoinRules()
FAMILY = Phone("+380501112233")


# --- turns, looks, runs, versions -------------------------------------------------------------------------------


def test_each_turn_is_taken_once(stores: Sequence[Store], run_at_once: RunAtOnce) -> None:
    """Fifty clients at once, and every employee in turn (Z9)."""
    taken: list[int] = []

    def take(n: int) -> Callable[[], None]:
        def fn(conn: Connection) -> int | None:
            turns, version = rota.load(conn, "p")
            turn = int(turns.get("g", {}).get("n", "0")) + 1
            return turn if rota.advance(conn, "p", {"g": {"n": str(turn)}}, version) else None

        def run() -> None:
            won = 0
            while won < 6:
                turn = stores[n].write_now(fn)
                if turn is not None:
                    taken.append(turn)
                    won += 1

        return run

    run_at_once(*(take(n) for n in range(len(stores))))
    assert sorted(taken) == list(range(1, 6 * len(stores) + 1))


def test_a_look_that_is_due_is_taken_by_one(stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce) -> None:
    for number in range(40):
        due = Due(project="p", client_id=ClientId(f"c{number}"), key="k", at=now)
        stores[0].write_now(lambda conn, due=due: dues.put(conn, due))  # type: ignore[misc]
    taken = run_at_once(*each(stores, lambda _: lambda conn: dues.take(conn, now)))
    assert sorted(one.client_id for found in taken for one in found) == sorted(f"c{number}" for number in range(40))


def test_a_run_has_one_holder(stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce) -> None:
    lease_for = timedelta(minutes=1)
    got = run_at_once(
        *each(stores, lambda n: lambda conn: runs.claim(conn, "job@1", f"lease {n}", now=now, lease_for=lease_for))
    )
    assert sum(run is not None for run in got) == 1


def test_of_several_who_publish_over_the_same_version_one_succeeds_and_the_others_are_told(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    def publish(n: int) -> Callable[[], bool]:
        def fn(conn: Connection) -> object:
            return policies.publish(conn, "p", text=f"a = {n}\n", author=f"a{n}", based_on=None, now=now)

        def run() -> bool:
            try:
                stores[n].write_now(fn)
            except ConfigurationError:
                return False
            return True

        return run

    assert sum(run_at_once(*(publish(n) for n in range(len(stores))))) == 1
    assert len(stores[0].read_now(lambda conn: policies.list_versions(conn, "p"))) == 1


def test_what_two_administrators_set_up_at_once_is_there_once_and_the_others_are_told(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """H12: a button pressed twice reaches two web processes; nobody sees a driver's words, no second administrator."""
    cipher = Cipher(["of-the-tests" * 4])
    stores[0].write_now(lambda conn: projects.add_project(conn, "p", now=now))
    same = partial(projects.add_channel, project="p", name="n", source="s", settings={}, now=now)
    crm = partial(projects.add_connection, project="p", name="n", sink="s", settings={}, now=now)
    makes: list[Callable[[Connection], object]] = [
        lambda conn: projects.add_project(conn, "q", now=now),
        lambda conn: same(conn, cipher),
        lambda conn: crm(conn, cipher),
        lambda conn: users.add_user(conn, login="olena", password_hash="x", role="admin", now=now),
    ]
    for make in makes:

        def press(n: int, make: Callable[[Connection], object] = make) -> bool:
            try:
                stores[n].write_now(make)
            except ConfigurationError:
                return False
            return True

        assert sum(run_at_once(*(partial(press, n) for n in range(len(stores))))) == 1


# --- messages and deals -----------------------------------------------------------------------------------------


def make_message(now: datetime, id: str) -> Outgoing:
    return Outgoing(
        id=id,
        project="p",
        channel="chat",
        client_id=ClientId("c1"),
        chat=("whatsapp", "380501112233"),
        account="a",
        text="Hello",
        created_at=now,
    )


def test_a_message_that_is_queued_by_several_is_queued_once(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """W9: a browser that repeats its request reaches another web process."""
    got = run_at_once(*each(stores, lambda _: lambda conn: outgoing.add(conn, make_message(now, "m1"))))
    assert sum(sequence is not None for sequence in got) == 1


def test_a_receipt_that_meets_the_end_of_sending_is_not_lost(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    for number in range(8):
        id = f"m{number}"

        def queue(conn: Connection, id: str = id) -> int:
            sequence = outgoing.add(conn, make_message(now, id))
            assert sequence is not None
            outgoing.mark_sent(conn, sequence, now)
            outgoing.end(conn, sequence, OutgoingState.SENT, now, external_id=f"x{id}")
            return sequence

        sequence = stores[0].write_now(queue)
        receipt = Receipt(external_id=f"x{id}", delivery=Delivery.DELIVERED, at=now)
        run_at_once(
            lambda sequence=sequence, id=id: stores[0].write_now(
                lambda conn: outgoing.end(conn, sequence, OutgoingState.DONE, now, external_id=f"x{id}")
            ),
            lambda receipt=receipt: stores[1].write_now(lambda conn: outgoing.take_receipt(conn, "p", "chat", receipt)),
        )
        found = stores[0].read_now(lambda conn, id=id: outgoing.find(conn, "p", id))  # type: ignore[misc]
        assert found is not None
        assert (found.state, found.delivery) == (OutgoingState.DONE, Delivery.DELIVERED)


def test_several_promises_of_a_deal_are_one(stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce) -> None:
    got = run_at_once(*each(stores, lambda _: lambda conn: shared.promise_deal(conn, "p", "chat", ClientId("c1"), now)))
    assert set(got) == {"c1-1"}


# --- longer than a transaction ----------------------------------------------------------------------------------


async def test_a_token_is_renewed_by_one_process_at_a_time(stores: Sequence[Store], now: datetime) -> None:
    """H8: a refresh token is good once; the second process finds the new one."""
    cipher = Cipher(["k" * 32])
    stores[0].write_now(
        lambda conn: projects.add_connection(conn, cipher, project="p", name="amo", sink="amocrm", settings={}, now=now)
    )
    renewals: list[int] = []

    async def renew(store: Store) -> None:
        state = ConnectionStates(store, cipher).of("p", "amo")
        async with state.lock("token"):
            value, version = await state.load()
            if value:
                return
            renewals.append(version)
            await asyncio.sleep(0.01)
            await state.save({"token": "new"}, version)

    await asyncio.gather(*(renew(store) for store in stores))
    assert renewals == [0]


async def test_who_gives_up_waiting_for_a_lock_does_not_keep_it(stores: Sequence[Store]) -> None:
    async with stores[0].locked("word"):
        waiting = asyncio.create_task(_hold_once(stores[1]))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(20):
        await _hold_once(stores[2])


async def _hold_once(store: Store) -> None:
    async with store.locked("word"):
        pass


# --- transactions that meet -------------------------------------------------------------------------------------


def test_of_two_writes_that_wait_for_each_other_both_succeed(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """The server undoes one of them; it is run again."""
    for name in ("one", "two"):
        stores[0].write_now(lambda conn, name=name: projects.add_project(conn, name, now=now))  # type: ignore[misc]
    middle = threading.Barrier(2, timeout=20)
    tries: list[str] = []

    def change(first: str, second: str, title: str) -> Callable[[Connection], None]:
        def fn(conn: Connection) -> None:
            tries.append(title)
            projects.change_project(conn, first, title=title)
            if tries.count(title) == 1:
                middle.wait()
            projects.change_project(conn, second, title=title)

        return fn

    run_at_once(
        lambda: stores[0].write_now(change("one", "two", "a")), lambda: stores[1].write_now(change("two", "one", "b"))
    )
    # whoever is undone may meet the other one again
    once, more = sorted(Counter(tries).values())
    assert (once, more > 1) == (1, True)
    titles = stores[0].read_now(lambda conn: {found.title for found in projects.list_projects(conn)})
    assert len(titles) == 1


def test_after_a_restart_of_the_server_the_next_write_and_read_succeed(stores: Sequence[Store], now: datetime) -> None:
    store = stores[0]
    store.write_now(lambda conn: projects.add_project(conn, "one", now=now))

    def cut(conn: Connection) -> None:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    stores[1].write_now(cut)
    store.write_now(lambda conn: projects.add_project(conn, "two", now=now))
    stores[1].write_now(cut)
    assert [found.name for found in store.read_now(projects.list_projects)] == ["one", "two"]


async def test_a_process_that_stands_still_in_a_write_is_undone_and_writes_it_when_it_goes_on(
    stores: Sequence[Store], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H9: a web process that is stopped with a lock holds nobody up for longer than a moment, and loses nothing."""
    monkeypatch.setattr(postgres, "_CUT_OFF", b"SET LOCAL idle_in_transaction_session_timeout = '200ms'")
    tries: list[int] = []

    def stands_still(conn: Connection) -> None:
        tries.append(len(tries))
        projects.add_project(conn, "one", now=now)
        if len(tries) == 1:
            # waits for the lock that the one who stands still has
            stores[1].write_now(lambda other: projects.add_project(other, "one", now=now))
            stores[1].write_now(lambda other: other.execute(text("DELETE FROM project")))
        projects.list_projects(conn)

    await stores[0].write(stands_still)
    assert tries == [0, 1]
    assert [found.name for found in stores[1].read_now(projects.list_projects)] == ["one"]


def test_text_with_a_character_that_postgresql_refuses_is_stored_all_the_same(
    stores: Sequence[Store], now: datetime
) -> None:
    """H11: a vendor may send NUL; the rest of what it sent is not lost for it."""
    stores[0].write_now(lambda conn: projects.add_project(conn, "one", now=now, title="a\x00b"))
    assert [found.title for found in stores[0].read_now(projects.list_projects)] == ["a\ufffdb"]


# --- what the views are told ------------------------------------------------------------------------------------


def tell(conn: Connection, now: datetime, n: int) -> int:
    return events.append(conn, project="p", kind="journal", body={"n": n}, now=now)


def test_a_view_misses_nothing_that_was_begun_before_what_it_has_read(stores: Sequence[Store], now: datetime) -> None:
    """DESIGN 8: rows are committed in another order than they were written in; a browser goes on from its last id."""
    begun, go = threading.Event(), threading.Event()

    def slowly(conn: Connection) -> int:
        id = tell(conn, now, 1)
        begun.set()
        go.wait(20)
        return id

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(stores[0].write_now, slowly)
        assert begun.wait(20)
        second = stores[1].write_now(lambda conn: tell(conn, now, 2))
        assert stores[2].read_now(lambda conn: events.read_after(conn, 0)) == []
        assert stores[2].read_now(events.last_id) == 0
        go.set()
        first = writing.result(20)
    assert first < second
    read = stores[2].read_now(lambda conn: events.read_after(conn, 0))
    assert [found.body["n"] for found in read] == [1, 2]
    assert stores[2].read_now(lambda conn: events.read_after(conn, second)) == []


def test_a_reader_among_eight_writers_is_told_everything_once_and_in_order(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    per_writer = 25
    heard: list[int] = []

    def write(n: int) -> Callable[[], None]:
        def run() -> None:
            for place in range(per_writer):
                stores[n].write_now(lambda conn, place=place: tell(conn, now, n * per_writer + place))  # type: ignore[misc]

        return run

    def listen() -> None:
        after, end = 0, time.monotonic() + 60
        while len(heard) < per_writer * 7 and time.monotonic() < end:
            for found in stores[7].read_now(lambda conn, after=after: events.read_after(conn, after, limit=10)):  # type: ignore[misc]
                assert found.id > after
                after = found.id
                heard.append(found.body["n"])

    run_at_once(*(write(n) for n in range(7)), listen)
    assert sorted(heard) == list(range(7 * per_writer))


def test_after_a_restore_into_another_server_events_go_on(stores: Sequence[Store], now: datetime) -> None:
    """There transactions are counted anew; what was told before lies in front, in its order."""
    store = stores[0]
    for n in (1, 2):
        store.write_now(lambda conn, n=n: tell(conn, now, n))  # type: ignore[misc]
    store.write_now(lambda conn: conn.execute(text("UPDATE event SET id = id + (1::bigint << 50)")))
    assert store.read_now(lambda conn: events.read_after(conn, 0)) == []
    assert [store.write_now(events.renumber) for _ in range(2)] == [2, 0]
    store.write_now(lambda conn: tell(conn, now, 3))
    read = store.read_now(lambda conn: events.read_after(conn, 0))
    assert [found.body["n"] for found in read] == [1, 2, 3]
