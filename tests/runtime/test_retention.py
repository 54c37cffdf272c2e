"""Personal data goes when the policy says so; what effects need stays (H7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update

from hub.clock import FakeClock
from hub.compose import build_services
from hub.core.interaction import ClientId, Disposition, Identity
from hub.core.merge import CallFragment, Moment
from hub.core.outgoing import Outgoing, OutgoingState
from hub.core.phone import Phone
from hub.core.plan import AddNote, CreateTask, Reason, StepKey
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.ports import RawRequest
from hub.runtime.ingest import store_parsed
from hub.runtime.retention import Retention
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import inbox, interactions, outgoing, policies, projects, steps
from hub.store.inbox import InboxStatus
from hub.store.interactions import Stored
from hub.store.schema import client, client_key, session, step, work
from hub.store.shared import Shared
from hub.store.shared import put as put_shared
from hub.store.work import WorkState

pytestmark = pytest.mark.usefixtures("each_engine")

PROJECT, CHANNEL, CRM = "shop", "ringostat", "amocrm"
NOW = datetime(2026, 5, 12, 10, 2, tzinfo=UTC)
POLICY = """
[retention]
raw = "30 days"
interactions = "365 days"
"""
OLD, FRESH = NOW - timedelta(days=400), NOW - timedelta(days=3)


@dataclass(slots=True)
class Shop:
    services: Services
    retention: Retention

    def call(self, id: str, phone: str, at: datetime, state: WorkState = WorkState.FINISHED) -> Stored:
        """One call of a client, as it lies in the store when all is done."""

        def put(conn: Connection) -> Stored:
            raw = RawRequest(method="POST", query=b"q=1", headers=(("a", "b"),), body=phone.encode(), received_at=at)
            row = inbox.add(conn, project=PROJECT, channel=CHANNEL, kind="hook", request=raw)
            found = CallFragment(
                external_id=id,
                moment=Moment.ENDED,
                started_at=at,
                disposition=Disposition.MISSED,
                client=Identity(phones=(Phone(phone),)),
            )
            arrived = store_parsed(
                conn,
                found,
                project=self.services.projects.get(PROJECT),
                channel=CHANNEL,
                source="ringostat",
                inbox_id=row,
                received_at=at,
                now=at,
            )
            assert arrived is not None
            stored = arrived.stored
            inbox.mark(conn, row, InboxStatus.DONE, now=at, interaction_id=stored.id)
            reason = Reason(code="test")
            task = StepKey(f"{stored.client_id}/task/call_back/anna/{stored.id}")
            note = StepKey(f"{stored.id}/note")
            on = RecordRef(kind=RecordKind.CONTACT, id="1")
            steps.add(
                conn,
                [
                    CreateTask(
                        key=task,
                        task="call_back",
                        text="",
                        on=on,
                        assignee=EmployeeId("anna"),
                        due_at=at,
                        reason=reason,
                    ),
                    AddNote(key=note, on=on, text=phone, reason=reason),
                ],
                project=PROJECT,
                connection=CRM,
                interaction_id=stored.id,
                client_id=stored.client_id,
                urgency=1,
                now=at,
            )
            conn.execute(update(work).values(state=state.value).where(work.c.interaction_id == stored.id))
            return stored

        return self.services.store.write_now(put)

    def count(self, table: object) -> int:
        return self.services.store.read_now(
            lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    clock = FakeClock(NOW)
    services = build_services(Settings(environment="development", data_directory=tmp_path), clock)

    def fill(conn: Connection) -> None:
        projects.add_project(conn, PROJECT, now=OLD)
        policies.publish(conn, PROJECT, text=POLICY, author="test", based_on=None, now=OLD)
        projects.add_channel(
            conn, services.cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=OLD
        )
        projects.add_connection(conn, services.cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=OLD)

    services.store.write_now(fill)
    services.projects.reload_now()
    try:
        yield Shop(services=services, retention=Retention(services.store, clock, services.projects))
    finally:
        services.close()


async def test_raw_requests_lose_their_contents_and_keep_their_row(shop: Shop) -> None:
    shop.call("a", "+380501112233", NOW - timedelta(days=40))
    shop.call("b", "+380501112233", FRESH)
    removed = (await shop.retention.clean())[PROJECT]
    rows = shop.services.store.read_now(lambda conn: inbox.list_received(conn, project=PROJECT))
    assert [(bool(row.request.body), bool(row.request.headers), row.status) for row in rows] == [
        (True, True, "done"),
        (False, False, "done"),
    ]
    assert (removed.raw, removed.interactions) == (1, 0)


async def test_an_old_request_that_nobody_has_read_keeps_its_contents(shop: Shop) -> None:
    raw = RawRequest(method="POST", body=b"late", received_at=OLD)
    shop.services.store.write_now(
        lambda conn: inbox.add(conn, project=PROJECT, channel=CHANNEL, kind="hook", request=raw)
    )
    assert (await shop.retention.clean())[PROJECT].raw == 0


async def test_old_interactions_go_with_everything_of_theirs(shop: Shop) -> None:
    shop.call("a", "+380501112233", OLD)
    removed = (await shop.retention.clean())[PROJECT]
    assert (removed.interactions, removed.clients) == (1, 1)
    assert [shop.count(table) for table in (step, work, client, client_key)] == [0, 0, 0, 0]


async def test_open_tasks_of_a_client_who_still_calls_are_still_known(shop: Shop) -> None:
    """A3: a later call must find the task by its key."""
    old = shop.call("a", "+380501112233", OLD)
    shop.call("b", "+380501112233", FRESH)
    await shop.retention.clean()
    store = shop.services.store
    assert store.read_now(lambda conn: interactions.find(conn, old.id)) is None
    kept = store.read_now(lambda conn: steps.of_interaction(conn, old.id))
    assert [found.action.kind for found in kept] == ["create_task"]


async def test_what_is_not_finished_stays(shop: Shop) -> None:
    old = shop.call("a", "+380501112233", OLD, WorkState.WRITING)
    assert (await shop.retention.clean())[PROJECT].interactions == 0
    assert shop.services.store.read_now(lambda conn: interactions.find(conn, old.id)) is not None


# thousands of rows to store first; how slices are removed is the same on both
@pytest.mark.parametrize("each_engine", ["sqlite"], indirect=True)
async def test_more_than_one_slice_is_removed(shop: Shop) -> None:
    for number in range(230):
        shop.call(f"c{number}", f"+38050{number:07}", OLD)
    assert (await shop.retention.clean())[PROJECT].interactions == 230


async def test_sessions_that_are_over_end(shop: Shop) -> None:
    def start(conn: Connection) -> None:
        for token, at in (("old", OLD), ("new", NOW)):
            conn.execute(
                insert(session).values(
                    token_hash=token, login="anna", csrf="", created_at=at, expires_at=at + timedelta(hours=8)
                )
            )

    shop.services.store.write_now(start)
    assert await shop.retention.end_sessions() == 1
    assert shop.count(session) == 1


def send(shop: Shop, id: str, at: datetime, state: OutgoingState) -> None:
    """A message of ours to the client of that id, and what became of it."""

    def put(conn: Connection) -> None:
        message = Outgoing(
            id=id,
            project=PROJECT,
            channel=CHANNEL,
            client_id=ClientId(f"client-{id}"),
            chat=("whatsapp", "380501112233"),
            account="a",
            text="Hello",
            created_at=at,
        )
        sequence = outgoing.add(conn, message)
        assert sequence is not None
        outgoing.end(conn, sequence, state, at)

    shop.services.store.write_now(put)


async def test_old_messages_of_ours_go_unless_somebody_has_to_look_at_them(shop: Shop) -> None:
    send(shop, "old", OLD, OutgoingState.DONE)
    send(shop, "doubtful", OLD, OutgoingState.IN_DOUBT)
    send(shop, "fresh", FRESH, OutgoingState.DONE)
    assert (await shop.retention.clean())[PROJECT].messages == 1
    left = [shop.services.store.read_now(lambda conn, id=id: outgoing.find(conn, PROJECT, id)) for id in  # type: ignore[misc]
            ("old", "doubtful", "fresh")]  # fmt: skip
    assert [found is not None for found in left] == [False, True, True]


async def test_a_client_whom_a_vendor_was_told_of_keeps_the_id(shop: Shop) -> None:
    """DESIGN 7: the vendor knows them under it as long as their card is in the CRM."""
    gone, known = shop.call("1", "+380501112233", OLD), shop.call("2", "+380671112233", OLD)
    row = Shared(id=known.client_id, digest="d", record="amocrm/77")
    shop.services.store.write_now(lambda conn: put_shared(conn, PROJECT, "chats", "contacts", [row], OLD))
    await shop.retention.clean()
    ids = shop.services.store.read_now(lambda conn: {row[0] for row in conn.execute(select(client.c.id))})
    assert known.client_id in ids
    assert gone.client_id not in ids
