"""What many processes store of clients and their interactions at once, on PostgreSQL (H3, H9, X12).

A barrier lets them begin together, and some tests hold one transaction open in the middle of another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from hub.core.interaction import ClientId, Identity, InteractionId
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.store import (
    client_joins,
    clients,
    interactions,
    schema,
)
from hub.store import work as works
from hub.store.clients import JoinRules
from hub.store.engine import Store
from hub.store.neighbour import is_held, note_keys
from hub.store.work import Lane, WorkState
from tests.store.at_once import RunAtOnce, each, make_call, phone

pytestmark = pytest.mark.postgres

RULES = JoinRules()
FAMILY = Phone("+380501112233")


# --- who is who -------------------------------------------------------------------------------------------------


def test_one_person_who_writes_through_eight_processes_at_once_is_one_client(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    for number in range(5):
        resolve = partial(
            clients.resolve, project="p", identity=Identity(phones=(phone(number),)), rules=RULES, now=now
        )
        found = run_at_once(*each(stores, lambda _, resolve=resolve: resolve))  # type: ignore[misc]
        assert len({one.client_id for one in found}) == 1
        assert sum(one.is_new for one in found) == 1


def test_keys_that_meet_in_a_ring_make_one_client_and_lose_no_key(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """Each enquiry has two of eight numbers: whoever comes last has joined them all (X12)."""
    count = len(stores)

    def enquiry(n: int) -> Callable[[Connection], Any]:
        who = Identity(phones=(phone(n), phone((n + 1) % count)))
        return lambda conn: clients.resolve(conn, "p", who, RULES, now=now)

    run_at_once(*each(stores, enquiry))
    owners = {stores[0].read_now(lambda conn, n=n: clients.find_by_phone(conn, "p", phone(n))) for n in range(count)}  # type: ignore[misc]
    assert len(owners) == 1
    (owner,) = owners
    assert owner is not None
    assert owner.merged_into is None
    keys = stores[0].read_now(lambda conn: clients.keys_of(conn, owner.id))
    assert [value for _, value in keys] == sorted(phone(n) for n in range(count))
    joined = stores[0].read_now(
        lambda conn: (
            conn.execute(select(schema.client.c.merged_into).where(schema.client.c.id != owner.id)).scalars().all()
        )
    )
    assert set(joined) <= {owner.id}


def test_projects_do_not_wait_for_each_other(stores: Sequence[Store], now: datetime) -> None:
    held, go = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        clients.resolve(conn, "one", Identity(phones=(FAMILY,)), RULES, now=now)
        held.set()
        go.wait(20)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stores[0].write_now, hold)
        assert held.wait(20)
        stores[1].write_now(lambda conn: clients.resolve(conn, "two", Identity(phones=(FAMILY,)), RULES, now=now))
        assert not waiting.done()
        go.set()
        waiting.result(20)


def test_callers_of_one_client_are_all_remembered(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """A15."""
    made = stores[0].write_now(lambda conn: clients.resolve(conn, "p", Identity(phones=(FAMILY,)), RULES, now=now))
    run_at_once(*each(stores, lambda n: lambda conn: clients.add_caller(conn, made.client_id, EmployeeId(f"e{n}"))))
    known = stores[0].read_now(lambda conn: clients.get(conn, made.client_id))
    assert known.called_by == {f"e{n}" for n in range(len(stores))}


def test_who_talked_last_wins_in_whatever_order_it_is_stored(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    made = stores[0].write_now(lambda conn: clients.resolve(conn, "p", Identity(phones=(FAMILY,)), RULES, now=now))

    def talk(n: int) -> Callable[[Connection], None]:
        at = now + timedelta(minutes=(n * 3) % len(stores))
        return lambda conn: clients.set_last_talked(conn, made.client_id, EmployeeId(at.isoformat()), at)

    run_at_once(*each(stores, talk))
    known = stores[0].read_now(lambda conn: clients.get(conn, made.client_id))
    assert known.last_talked == (now + timedelta(minutes=len(stores) - 1)).isoformat()


def test_a_join_is_undone_once(stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce) -> None:
    def fill(conn: Connection) -> int:
        for number in (1, 2):
            clients.resolve(conn, "p", Identity(phones=(phone(number),)), RULES, now=now)
        clients.resolve(conn, "p", Identity(phones=(phone(1), phone(2))), RULES, now=now)
        return client_joins.list_joins(conn, "p")[0].id

    join = stores[0].write_now(fill)
    assert sorted(run_at_once(*each(stores, lambda _: lambda conn: client_joins.undo(conn, join, now)))) == [
        *[False] * (len(stores) - 1),
        True,
    ]


# --- the order of arrival ---------------------------------------------------------------------------------------


def test_of_one_client_what_is_stored_later_has_the_larger_number(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """H3: the number is taken while the project's arrivals are held, so it cannot be overtaken."""
    told: list[tuple[int, int]] = []

    def store_some(n: int) -> Callable[[], None]:
        def one(conn: Connection, place: int) -> int:
            found = clients.resolve(conn, "auto", Identity(phones=(FAMILY,)), RULES, now=now)
            before = conn.execute(select(func.coalesce(func.max(schema.interaction.c.sequence), 0))).scalar_one()
            call = make_call(now, external_id=f"{n}-{place}")
            stored = interactions.put(conn, call, client_id=found.client_id, received_at=now, decide_at=now)
            told.append((before, stored.sequence))
            return stored.sequence

        def run() -> None:
            for place in range(5):
                stores[n].write_now(lambda conn, place=place: one(conn, place))  # type: ignore[misc]

        return run

    run_at_once(*(store_some(n) for n in range(len(stores))))
    assert len({sequence for _, sequence in told}) == 5 * len(stores)
    assert [pair for pair in told if pair[0] >= pair[1]] == []


# --- one interaction in one CRM ---------------------------------------------------------------------------------


def add_work(conn: Connection, now: datetime, name: str, number: int) -> InteractionId:
    found = clients.resolve(conn, "auto", Identity(phones=(phone(number),)), RULES, now=now)
    call = make_call(now, external_id=name)
    stored = interactions.put(conn, call, client_id=found.client_id, received_at=now, decide_at=now)
    works.add(
        conn,
        interaction_id=call.id,
        project="auto",
        client_id=found.client_id,
        sequence=stored.sequence,
        connections=["amo"],
        now=now,
    )
    return call.id


def test_of_two_who_decide_the_same_work_one_begins_it(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    id = stores[0].write_now(lambda conn: add_work(conn, now, "one", 1))

    def begin(conn: Connection) -> bool:
        found = works.get(conn, id, "amo", to_change=True)
        assert found is not None
        if found.state is not WorkState.OPEN:
            return False
        works.put(conn, found, WorkState.WRITING, now=now, decided_revision=found.revision)
        return True

    assert sum(run_at_once(*each(stores, lambda _: begin))) == 1


def test_a_revision_that_comes_while_the_end_is_stored_is_not_overlooked(
    stores: Sequence[Store], now: datetime
) -> None:
    """Either the end sees the new revision, or the revision finds the work ended and opens it again."""

    def add(conn: Connection) -> tuple[InteractionId, ClientId]:
        id = add_work(conn, now, "one", 1)
        found = works.get(conn, id, "amo")
        assert found is not None
        works.put(conn, found, WorkState.WRITING, now=now, decided_revision=1)
        return id, found.client_id

    id, client_id = stores[0].write_now(add)
    held, go = threading.Event(), threading.Event()

    def revise(conn: Connection) -> None:
        stored = interactions.find(conn, id)
        assert stored is not None
        changed = make_call(now, external_id="one", id=id, seconds=99)
        again = interactions.put(conn, changed, client_id=client_id, received_at=now, decide_at=now)
        works.add(
            conn,
            interaction_id=id,
            project="auto",
            client_id=client_id,
            sequence=again.sequence,
            connections=["amo"],
            now=now,
        )
        held.set()
        go.wait(20)

    def end(conn: Connection) -> int:
        found = works.get(conn, id, "amo", to_change=True)
        assert found is not None
        state = WorkState.OPEN if found.revision > found.decided_revision else WorkState.FINISHED
        works.put(conn, found, state, now=now)
        return found.revision

    with ThreadPoolExecutor(2) as pool:
        revising = pool.submit(stores[0].write_now, revise)
        assert held.wait(20)
        ending = pool.submit(stores[1].write_now, end)
        wait_until_blocked(stores[2])
        go.set()
        revising.result(20)
        assert ending.result(20) == 2
    found = stores[0].read_now(lambda conn: works.get(conn, id, "amo"))
    assert found is not None
    assert found.state is WorkState.OPEN


def wait_until_blocked(store: Store) -> None:
    """Until a transaction of this database waits for a lock."""
    end = threading.Event()
    for _ in range(2000):
        waits = store.read_now(
            lambda conn: conn.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            ).scalar_one()
        )
        if waits:
            return
        end.wait(0.01)
    raise AssertionError("nobody waits")


def test_two_clients_who_share_a_key_are_not_begun_at_the_same_moment(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """DESIGN 2.2: a family's number; in the CRM they may meet."""
    rules = JoinRules(shared=frozenset({FAMILY}))

    def add(conn: Connection) -> list[InteractionId]:
        ids = []
        for number in range(len(stores)):
            id = add_work(conn, now, f"call {number}", number)
            note_keys(conn, "auto", id, Identity(phones=(phone(number), FAMILY)), rules)
            ids.append(id)
        return ids

    ids = stores[0].write_now(add)

    def begin(n: int) -> Callable[[Connection], bool]:
        def fn(conn: Connection) -> bool:
            found = works.get(conn, ids[n], "amo", to_change=True)
            assert found is not None
            if is_held(conn, found, to_begin=True):
                return False
            works.put(conn, found, WorkState.WRITING, now=now, decided_revision=1)
            return True

        return fn

    assert sum(run_at_once(*each(stores, begin))) == 1


def test_a_join_and_a_decision_that_meet_leave_nothing_with_the_client_who_went(
    stores: Sequence[Store], now: datetime, run_at_once: RunAtOnce
) -> None:
    """X12: whoever talked is remembered of the client who stays, and the lane of the other is empty."""
    for number in range(0, 12, 2):

        def add(conn: Connection, number: int = number) -> tuple[InteractionId, ClientId]:
            # of two clients the older stays
            earlier = now - timedelta(hours=1)
            clients.resolve(conn, "auto", Identity(phones=(phone(number),)), RULES, now=earlier)
            id = add_work(conn, now, f"call {number}", number + 1)
            found = works.get(conn, id, "amo")
            assert found is not None
            return id, found.client_id

        id, went = stores[0].write_now(add)

        def decide(conn: Connection, id: InteractionId = id, went: ClientId = went) -> None:
            found = works.get(conn, id, "amo", to_change=True)
            assert found is not None
            if found.client_id == went:
                clients.set_last_talked(conn, went, EmployeeId("olena"), now)
                clients.add_caller(conn, went, EmployeeId("olena"))
                works.put(conn, found, WorkState.WRITING, now=now, decided_revision=1)

        both = Identity(phones=(phone(number), phone(number + 1)))
        _, joined = run_at_once(
            lambda decide=decide: stores[0].write_now(decide),
            lambda both=both: stores[1].write_now(lambda conn: clients.resolve(conn, "auto", both, RULES, now=now)),
        )
        found = stores[0].read_now(lambda conn, id=id: works.get(conn, id, "amo"))  # type: ignore[misc]
        assert found is not None
        assert found.client_id == joined.client_id != went
        known = stores[0].read_now(lambda conn, joined=joined: clients.get(conn, joined.client_id))  # type: ignore[misc]
        talked = found.state is WorkState.WRITING
        assert (known.last_talked == "olena", "olena" in known.called_by) == (talked, talked)
        lane = Lane(client_id=went, connection="amo", project="auto")
        assert stores[0].read_now(lambda conn, lane=lane: works.head(conn, lane)) is None  # type: ignore[misc]
