"""The inbox, the interactions made of it, and the decisions about them (H3, H11, X8, X1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from hub.core.interaction import Call, ClientId, Direction, Disposition, Identity, InteractionId, ProjectId
from hub.core.merge import CallFragment, Moment
from hub.core.phone import Phone
from hub.core.plan import Nothing, Plan, Reason, StepKey
from hub.core.snapshot import Snapshot
from hub.ports import RawRequest
from hub.store import clients, decisions, inbox, interactions, work
from hub.store.engine import Store
from hub.store.inbox import InboxStatus
from hub.store.interactions import JournalFilter
from hub.store.work import Lane

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def request(body: bytes = b"{}", at: datetime = NOW) -> RawRequest:
    return RawRequest(method="POST", query=b"a=1&b=%00", headers=(("x-y", "ü"),), body=body, received_at=at)


def call(id: str, **more: object) -> Call:
    fields: dict[str, object] = {
        "id": InteractionId(id),
        "project": ProjectId("auto"),
        "channel": "calls",
        "source": "ringostat",
        "external_id": f"x-{id}",
        "started_at": NOW,
        "direction": Direction.INBOUND,
        "disposition": Disposition.ANSWERED,
        "client": Identity(),
    }
    return Call(**(fields | more))  # type: ignore[arg-type]  # the table's rows say only what matters


# --- inbox ------------------------------------------------------------------------------------------------------


def test_a_request_is_kept_byte_for_byte(store: Store) -> None:
    """H11."""
    sent = request(bytes(range(256)), NOW.replace(microsecond=123456))
    id = store.write_now(lambda conn: inbox.add(conn, project="auto", channel="calls", kind="hook", request=sent))
    found = store.read_now(lambda conn: inbox.get(conn, id))
    assert found is not None
    assert (found.id, found.project, found.channel, found.kind) == (id, "auto", "calls", "hook")
    assert found.request == sent
    assert found.status is InboxStatus.NEW


def test_rows_are_read_in_the_order_in_which_they_came_and_once(store: Store) -> None:
    bodies = [b"%d" % n for n in range(5)]
    ids = store.write_now(
        lambda conn: inbox.add_many(
            conn, project="auto", channel="calls", kind="hook", requests=[request(body) for body in bodies]
        )
    )
    assert [row.request.body for row in store.read_now(inbox.unread)] == bodies
    assert [row.id for row in store.read_now(lambda conn: inbox.unread(conn, after=ids[2]))] == ids[3:]
    store.write_now(lambda conn: inbox.mark(conn, ids[:3], InboxStatus.DONE, now=NOW, interaction_id="i1"))
    store.write_now(
        lambda conn: inbox.mark(conn, ids[3], InboxStatus.UNREADABLE, now=NOW, field="call_id", note="is missing")
    )
    assert [row.id for row in store.read_now(lambda conn: inbox.unread(conn, limit=1))] == [ids[4]]
    assert store.read_now(lambda conn: inbox.unread(conn, project="shop")) == []
    counted = {InboxStatus.DONE: 3, InboxStatus.UNREADABLE: 1, InboxStatus.NEW: 1}
    assert store.read_now(inbox.counts) == counted
    (bad,) = store.read_now(lambda conn: inbox.list_received(conn, statuses=[InboxStatus.UNREADABLE]))
    assert (bad.field, bad.note, bad.read_at) == ("call_id", "is missing", NOW)
    assert [row.id for row in store.read_now(lambda conn: inbox.list_received(conn, interaction_id="i1"))] == ids[2::-1]
    assert [row.id for row in store.read_now(lambda conn: inbox.list_received(conn, before=ids[2]))] == ids[1::-1]


# --- interactions -----------------------------------------------------------------------------------------------


def put(store: Store, found: Call, client: str = "c1", decide_at: datetime | None = NOW) -> interactions.Stored:
    return store.write_now(
        lambda conn: interactions.put(conn, found, client_id=ClientId(client), received_at=NOW, decide_at=decide_at)
    )


def test_a_revision_grows_only_when_the_content_changes(store: Store) -> None:
    first = put(store, call("i1"), decide_at=None)
    assert (first.sequence, first.revision, first.is_new, first.is_changed) == (1, 1, True, True)
    again = put(store, call("i1"))
    assert (again.sequence, again.revision, again.is_new, again.is_changed) == (1, 1, False, False)
    later = put(store, call("i1", talk_seconds=60), client="c2")
    assert (later.sequence, later.revision, later.is_new, later.is_changed) == (1, 2, False, True)
    found = store.read_now(lambda conn: interactions.find_external(conn, "auto", "calls", "x-i1"))
    assert found is not None
    assert found == replace(later, is_changed=False)
    assert (found.client_id, found.decide_at) == ("c2", NOW)
    assert store.read_now(lambda conn: interactions.find_external(conn, "shop", "calls", "x-i1")) is None


def test_a_repeated_fragment_is_known(store: Store) -> None:
    """X5, A9: one delivery has one effect however often it arrives."""
    id = InteractionId("i1")
    one = CallFragment(external_id="x", moment=Moment.ENDED, talk_seconds=5)
    two = replace(one, talk_seconds=6)

    def add(conn: Connection) -> list[bool]:
        return [
            interactions.add_fragment(conn, id, found, inbox_id=None, received_at=NOW + n * timedelta(seconds=1))
            for n, found in enumerate((one, one, two, one))
        ]

    assert store.write_now(add) == [True, False, True, False]
    assert list(store.read_now(lambda conn: interactions.fragments(conn, id))) == [one, two]
    assert store.read_now(lambda conn: interactions.first_received(conn, id)) == NOW


def test_a_clients_interactions_are_listed_and_counted(store: Store) -> None:
    for n in range(4):
        put(store, call(f"i{n}"), client="c1" if n != 2 else "c2")
    listed = store.read_now(lambda conn: interactions.list_of_client(conn, ClientId("c1")))
    assert [found.id for found in listed] == ["i3", "i1", "i0"]
    assert store.read_now(lambda conn: interactions.count_of_client(conn, ClientId("c1"), before=4)) == 2


def keep_with_work(conn: Connection, one: Call, owner: ClientId) -> None:
    """Store a call that is over, and what there is to do about it in one CRM."""
    stored = interactions.put(conn, one, client_id=owner, received_at=NOW, decide_at=NOW)
    work.add(
        conn,
        interaction_id=one.id,
        project="auto",
        client_id=owner,
        sequence=stored.sequence,
        connections=["amo"],
        now=NOW,
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (JournalFilter(), ["i3", "i2", "i1", "i0"]),
        (JournalFilter(kinds=("form",)), []),
        (JournalFilter(channels=("calls",), since=NOW + timedelta(hours=2)), ["i3", "i2"]),
        (JournalFilter(until=NOW + timedelta(hours=1)), ["i0"]),
        (JournalFilter(states=("attention",)), ["i1"]),
        (JournalFilter(phone="1112233"), ["i3", "i2", "i1", "i0"]),
        (JournalFilter(phone="999"), []),
        (JournalFilter(phone="%"), []),
    ],
)
def test_the_journal_is_filtered_and_paged(store: Store, wanted: JournalFilter, found: list[str]) -> None:
    def fill(conn: Connection) -> None:
        owner = clients.resolve(
            conn, "auto", Identity(phones=(Phone("+380501112233"),)), clients.JoinRules(), now=NOW
        ).client_id
        for n in range(4):
            one = call(f"i{n}", started_at=NOW + n * timedelta(hours=1))
            keep_with_work(conn, one, owner)
        item = work.get(conn, InteractionId("i1"), "amo")
        assert item is not None
        work.put(conn, item, work.WorkState.ATTENTION, now=NOW)

    store.write_now(fill)

    def page(before: int | None) -> list[interactions.Stored]:
        return store.read_now(lambda conn: interactions.journal(conn, "auto", wanted, before=before, limit=3))

    pages: list[str] = []
    shown = page(None)
    while shown:
        pages += [one.id for one in shown]
        shown = page(shown[-1].sequence)
    assert pages == found
    assert store.read_now(lambda conn: interactions.journal(conn, "shop", wanted)) == []


def test_begun_work_that_is_revised_comes_before_older_work_that_was_not_begun(store: Store) -> None:
    """H3: what rests on its waiting steps would otherwise wait for it, and it for that, for ever."""

    def fill(conn: Connection) -> Lane:
        owner = clients.resolve(
            conn, "auto", Identity(phones=(Phone("+380501112233"),)), clients.JoinRules(), now=NOW
        ).client_id
        for n in range(2):
            one = call(f"i{n}", started_at=NOW)
            keep_with_work(conn, one, owner)
        return Lane(client_id=owner, connection="amo", project="auto")

    lane = store.write_now(fill)

    def head(conn: Connection) -> InteractionId | None:
        found = work.head(conn, lane)
        return None if found is None else found.interaction_id

    assert store.read_now(head) == "i0", "the oldest first"

    def revise(conn: Connection) -> None:
        """The younger one was decided first, since the older was not over, and is decided again."""
        item = work.get(conn, InteractionId("i1"), "amo")
        assert item is not None
        work.put(conn, item, work.WorkState.WRITING, now=NOW, decided_revision=1)
        work.put(conn, item, work.WorkState.OPEN, now=NOW)

    store.write_now(revise)
    assert store.read_now(head) == "i1"


# --- decisions --------------------------------------------------------------------------------------------------


def test_a_decision_keeps_what_it_saw(store: Store) -> None:
    """X1, X2."""
    snapshot = Snapshot(connection="amo", taken_at=NOW)
    plans = [Plan(actions=(Nothing(key=StepKey(f"k{n}"), reason=Reason(code="internal")),)) for n in range(2)]
    for n, plan in enumerate(plans):
        store.write_now(
            lambda conn, n=n, plan=plan: decisions.add(  # type: ignore[misc]  # lambda with a default
                conn,
                interaction_id=InteractionId("i1"),
                connection="amo",
                project="auto",
                revision=n + 1,
                policy_version=3,
                snapshot=snapshot,
                plan=plan,
                now=NOW,
            )
        )
    found = store.read_now(lambda conn: decisions.list_decisions(conn, InteractionId("i1")))
    assert [one.plan for one in found] == plans
    latest = store.read_now(lambda conn: decisions.latest(conn, InteractionId("i1"), "amo"))
    assert latest == found[1]
    assert (found[1].snapshot, found[1].revision, found[1].policy_version) == (snapshot, 2, 3)
    assert store.read_now(lambda conn: decisions.latest(conn, InteractionId("i1"), "zoho")) is None
