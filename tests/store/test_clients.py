"""Who is one person, who is not, and how a join is undone (DESIGN 2.2, J4, J7, X12)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from hub.core.interaction import (
    Call,
    ClientId,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    ProjectId,
)
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.store import clients, dues, interactions, schema, work
from hub.store.clients import JoinRules
from hub.store.engine import Store, sqlite_url
from hub.store.identifier import new_client_id

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
P = [Phone(f"+38050111223{n}") for n in range(6)]
OFFICE = P[5]
ANY = JoinRules(shared=frozenset({OFFICE}))
ALL = JoinRules(join="all")


def identity(*phones: Phone, email: str = "", name: str = "", tax: str = "") -> Identity:
    return Identity(phones=phones, emails=(email,) if email else (), name=name, fields={"tax": tax} if tax else {})


def resolve(store: Store, who: Identity, rules: JoinRules = ANY, **more: ClientId) -> ClientId:
    return store.write_now(
        lambda conn: clients.resolve(conn, "auto", who, rules, now=NOW, current=more.get("current")).client_id
    )


def survivor(store: Store, id: ClientId) -> ClientId:
    return store.read_now(lambda conn: clients.get(conn, id).id)


@pytest.mark.parametrize(
    ("first", "second", "rules", "is_same"),
    [
        (identity(P[0]), identity(P[0]), ANY, True),
        (identity(P[0]), identity(P[1]), ANY, False),
        (identity(P[0], email="a@x"), identity(P[1], email=" A@X "), ANY, True),
        (identity(P[0], P[1]), identity(P[1]), ANY, True),
        (identity(tax="77"), identity(P[0], tax="77"), ANY, True),
        # J7: a name is no key
        (identity(name="Anna"), identity(name="Anna"), ANY, False),
        (identity(P[0], name="Anna"), identity(P[1], name="Anna"), ANY, False),
        # a hidden number is nobody's
        (Identity(), Identity(), ANY, False),
        # X12: an office exchange joins nobody, alone it is a client of its own
        (identity(P[0], OFFICE), identity(P[1], OFFICE), ANY, False),
        (identity(P[0], OFFICE), identity(OFFICE), ANY, False),
        (identity(OFFICE), identity(OFFICE), ANY, True),
        # J4: AND
        (identity(P[0], email="a@x"), identity(P[0], email="b@x"), ALL, False),
        (identity(P[0], email="a@x"), identity(P[0], email="a@x"), ALL, True),
        (identity(P[0], email="a@x"), identity(P[0]), ALL, False),
        (identity(P[0]), identity(P[0]), ALL, True),
        (identity(P[0], email="a@x"), identity(P[0]), JoinRules(join="all", ignore_absent=True), True),
        (identity(P[0]), identity(P[0], email="a@x"), JoinRules(join="all", ignore_absent=True), True),
        (identity(P[0], email="a@x"), identity(P[0], email="b@x"), JoinRules(join="all", ignore_absent=True), False),
    ],
)
def test_whether_two_enquiries_are_one_client(
    store: Store, first: Identity, second: Identity, rules: JoinRules, is_same: bool
) -> None:
    assert (resolve(store, first, rules) == resolve(store, second, rules)) is is_same


def test_projects_do_not_share_clients(store: Store) -> None:
    """H8."""
    mine = resolve(store, identity(P[0]))
    theirs = store.write_now(lambda conn: clients.resolve(conn, "shop", identity(P[0]), ANY, now=NOW).client_id)
    assert mine != theirs


def test_a_hidden_number_stays_with_its_interaction_and_joins_once_it_is_known(store: Store) -> None:
    hidden = resolve(store, Identity())
    assert resolve(store, Identity(), current=hidden) == hidden
    owner = resolve(store, identity(P[0]))
    found = resolve(store, identity(P[0]), current=hidden)
    assert found == min(hidden, owner)
    assert {survivor(store, id) for id in (hidden, owner)} == {found}


def test_an_older_client_has_the_lower_id() -> None:
    assert new_client_id(NOW) < new_client_id(NOW + timedelta(milliseconds=1))


# --- any order --------------------------------------------------------------------------------------------------

identities = st.lists(
    st.builds(
        lambda phones, email, tax: identity(*phones, email=email, tax=tax),
        st.lists(st.sampled_from(P), max_size=2, unique=True),
        st.sampled_from(["", "a@x", "b@x", "c@x"]),
        st.sampled_from(["", "", "77"]),
    ).filter(lambda who: not who.is_empty),
    min_size=1,
    max_size=8,
)


def partition(
    store: Store, project: str, seen: Sequence[tuple[int, Identity]], rules: JoinRules
) -> set[frozenset[int]]:
    def fn(conn: Connection) -> set[frozenset[int]]:
        given = [
            (number, clients.resolve(conn, project, who, rules, now=NOW + timedelta(milliseconds=place)).client_id)
            for place, (number, who) in enumerate(seen)
        ]
        groups: dict[ClientId, set[int]] = {}
        for number, id in given:
            groups.setdefault(clients.get(conn, id).id, set()).add(number)
        return {frozenset(group) for group in groups.values()}

    return store.write_now(fn)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    # one file for all examples, each in projects of its own: opening costs more than resolving
    with Store(sqlite_url(tmp_path_factory.mktemp("clients") / "hub.db")) as store:
        yield store


project_numbers = itertools.count()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(identities, st.randoms(use_true_random=False), st.sampled_from([ANY, ALL]))
def test_any_order_of_enquiries_gives_the_same_clients(
    shared_store: Store, seen: list[Identity], order: random.Random, rules: JoinRules
) -> None:
    numbered = list(enumerate(seen))
    one = partition(shared_store, f"p{next(project_numbers)}", numbered, rules)
    order.shuffle(numbered)
    assert partition(shared_store, f"p{next(project_numbers)}", numbered, rules) == one


# --- joins ------------------------------------------------------------------------------------------------------


def add_call(conn: Connection, id: str, client_id: ClientId) -> None:
    call = Call(
        id=InteractionId(id),
        project=ProjectId("auto"),
        channel="calls",
        source="ringostat",
        external_id=id,
        started_at=NOW,
        direction=Direction.INBOUND,
        disposition=Disposition.MISSED,
        client=Identity(),
    )
    stored = interactions.put(conn, call, client_id=client_id, received_at=NOW, decide_at=NOW)
    work.add(
        conn,
        interaction_id=call.id,
        project="auto",
        client_id=client_id,
        sequence=stored.sequence,
        connections=["amo"],
        now=NOW,
    )
    conn.execute(
        insert(schema.step).values(
            project="auto",
            connection="amo",
            key=f"{id}/record_call",
            interaction_id=id,
            client_id=client_id,
            kind="record_call",
            action=b"{}",
            hub_id="h",
            created_at=NOW,
        )
    )


def owners(conn: Connection) -> dict[str, set[str]]:
    """Per interaction: whose it, its work and its steps are."""
    found: dict[str, set[str]] = {}
    for table, id in ((schema.interaction, "id"), (schema.work, "interaction_id"), (schema.step, "interaction_id")):
        for row in conn.execute(select(table.c[id], table.c.client_id)):
            found.setdefault(row[0], set()).add(row[1])
    return found


def test_a_join_moves_everything_and_its_undoing_gives_it_back(store: Store) -> None:
    """X12: one enquiry with the keys of two clients makes them one; the next after an undo does not."""
    one, two = resolve(store, identity(P[0], name="Anna")), resolve(store, identity(email="a@x"))

    def prepare(conn: Connection) -> None:
        add_call(conn, "i1", one)
        add_call(conn, "i2", two)
        clients.set_last_talked(conn, two, EmployeeId("olena"), NOW)
        dues.put(conn, dues.Due(project="auto", client_id=two, key="overdue", at=NOW))

    store.write_now(prepare)
    both = identity(P[0], email="a@x")
    kept = resolve(store, both)
    joined = ({one, two} - {kept}).pop()
    assert kept == min(one, two)
    assert store.read_now(owners) == {"i1": {kept}, "i2": {kept}}
    known = store.read_now(lambda conn: clients.get(conn, joined))
    assert (known.id, known.name, known.last_talked) == (kept, "Anna", "olena")
    assert [due.client_id for due in store.read_now(lambda conn: dues.list_of_client(conn, "auto", kept))] == [kept]

    (join,) = store.read_now(lambda conn: clients.list_joins(conn, "auto", client_id=joined))
    assert (join.kept, join.joined) == (kept, joined)
    assert "email" in join.reason
    assert P[0] not in join.reason
    assert store.write_now(lambda conn: clients.undo(conn, join.id, NOW))
    assert not store.write_now(lambda conn: clients.undo(conn, join.id, NOW))
    assert store.read_now(owners) == {"i1": {one}, "i2": {two}}
    assert {resolve(store, identity(P[0])), resolve(store, identity(email="a@x"))} == {one, two}
    resolve(store, both)
    assert {resolve(store, identity(P[0])), resolve(store, identity(email="a@x"))} == {one, two}


def test_an_undone_join_gives_back_timers_and_who_talked(store: Store) -> None:
    """X12: the looks at the joined client's tasks, who talked last, who called (A15); the other keeps their own."""
    one, two = resolve(store, identity(P[0])), resolve(store, identity(email="a@x"))
    keys = {client: f"{client}/task/call_back/olena/{id}/overdue/0" for client, id in ((one, "i1"), (two, "i2"))}

    def prepare(conn: Connection) -> None:
        for client, id in ((one, "i1"), (two, "i2")):
            add_call(conn, id, client)
            dues.put(conn, dues.Due(project="auto", client_id=client, key=keys[client], at=NOW))
        clients.set_last_talked(conn, one, EmployeeId("ivan"), NOW)
        clients.set_last_talked(conn, two, EmployeeId("olena"), NOW + timedelta(hours=1))
        clients.add_caller(conn, two, EmployeeId("olena"))

    store.write_now(prepare)
    kept = resolve(store, identity(P[0], email="a@x"))
    other = ({one, two} - {kept}).pop()
    known = store.read_now(lambda conn: clients.get(conn, kept))
    assert known.last_talked == "olena"
    assert known.called_by == frozenset({EmployeeId("olena")})
    [join] = store.read_now(lambda conn: clients.list_joins(conn, "auto"))
    assert store.write_now(lambda conn: clients.undo(conn, join.id, NOW))
    for client in (kept, other):
        looks = store.read_now(lambda conn, client=client: dues.list_of_client(conn, "auto", client))  # type: ignore[misc]
        assert [due.key for due in looks] == [keys[client]]
    assert store.read_now(lambda conn: clients.get(conn, one).last_talked) == "ivan"
    assert store.read_now(lambda conn: clients.get(conn, one).called_by) == frozenset()
    assert store.read_now(lambda conn: clients.get(conn, two).last_talked) == "olena"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the older first", "the newer first"])
def test_joins_undone_one_by_one_give_back_the_same_in_any_order(store: Store, order: tuple[int, int]) -> None:
    """X12: of three clients that became one, each is again who they were; nothing that is undone comes back."""
    one, two, three = (resolve(store, who) for who in (identity(P[0]), identity(email="a@x"), identity(P[2])))
    hours = {one: 1, two: 3, three: 2}

    def prepare(conn: Connection) -> None:
        for client, id in ((one, "i1"), (two, "i2"), (three, "i3")):
            add_call(conn, id, client)
            clients.set_last_talked(conn, client, EmployeeId(f"e{hours[client]}"), NOW + timedelta(hours=hours[client]))
            clients.add_caller(conn, client, EmployeeId(f"e{hours[client]}"))

    def known() -> dict[str, tuple[ClientId, str | None, frozenset[EmployeeId], set[tuple[str, str]]]]:
        def read(
            conn: Connection,
        ) -> dict[str, tuple[ClientId, str | None, frozenset[EmployeeId], set[tuple[str, str]]]]:
            found = [(id, clients.get(conn, client)) for client, id in ((one, "i1"), (two, "i2"), (three, "i3"))]
            return {
                id: (who.id, who.last_talked, who.called_by, set(clients.keys_of(conn, who.id))) for id, who in found
            }

        return store.read_now(read)

    store.write_now(prepare)
    apart, whose = known(), store.read_now(owners)
    ids = sorted((one, two, three))
    keys = {one: identity(P[0]), two: identity(email="a@x"), three: identity(P[2])}

    def both(first: ClientId, second: ClientId) -> Identity:
        return Identity(
            phones=(*keys[first].phones, *keys[second].phones), emails=(*keys[first].emails, *keys[second].emails)
        )

    # the newest goes to the one before it, and then that one to the oldest, with what it had taken in
    resolve(store, both(ids[1], ids[2]))
    resolve(store, both(ids[0], ids[1]))
    assert {survivor(store, id) for id in ids} == {ids[0]}
    joins = sorted(store.read_now(lambda conn: clients.list_joins(conn, "auto")), key=lambda join: join.id)
    assert [(join.kept, join.joined) for join in joins] == [(ids[1], ids[2]), (ids[0], ids[1])]
    for number in order:
        assert store.write_now(lambda conn, id=joins[number].id: clients.undo(conn, id, NOW))  # type: ignore[misc]
    assert store.read_now(owners) == whose
    assert known() == apart


def test_whoever_takes_in_a_parted_client_is_parted_too(store: Store) -> None:
    """X12: the recorded decision survives a later join of one of the two."""
    third = resolve(store, identity(P[2]))
    one, two = resolve(store, identity(P[0])), resolve(store, identity(email="a@x"))
    resolve(store, identity(P[0], email="a@x"))
    [join] = store.read_now(lambda conn: clients.list_joins(conn, "auto"))
    assert store.write_now(lambda conn: clients.undo(conn, join.id, NOW))
    both = survivor(store, resolve(store, identity(P[0], P[2])))
    assert {survivor(store, third), survivor(store, one)} == {both}
    resolve(store, identity(P[2], email="a@x"))
    assert resolve(store, identity(P[2])) == both
    assert resolve(store, identity(email="a@x")) == two


def test_three_clients_join_into_the_oldest(store: Store) -> None:
    first = [resolve(store, identity(phone)) for phone in P[:3]]
    resolve(store, identity(P[1], P[2]))
    kept = resolve(store, identity(P[0], P[2]))
    assert kept == min(first)
    assert {survivor(store, id) for id in first} == {kept}
    assert store.read_now(lambda conn: clients.keys_of(conn, kept)) == [("phone", phone) for phone in P[:3]]


def test_who_talked_last_is_not_overwritten_by_an_earlier_talk(store: Store) -> None:
    id = resolve(store, identity(P[0]))
    store.write_now(lambda conn: clients.set_last_talked(conn, id, EmployeeId("olena"), NOW))
    store.write_now(lambda conn: clients.set_last_talked(conn, id, EmployeeId("ivan"), NOW - timedelta(hours=1)))
    assert store.read_now(lambda conn: clients.get(conn, id).last_talked) == "olena"


def test_a_client_is_found_by_a_number(store: Store) -> None:
    id = resolve(store, identity(P[0]))
    found = store.read_now(lambda conn: clients.find_by_phone(conn, "auto", P[0]))
    assert found is not None
    assert found.id == id
    assert store.read_now(lambda conn: clients.find_by_phone(conn, "shop", P[0])) is None
    with pytest.raises(LookupError):
        store.read_now(lambda conn: clients.get(conn, ClientId("nobody")))
