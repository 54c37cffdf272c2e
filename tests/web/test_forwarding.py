"""Whom to ring, asked over a real socket: always 200, always in the channel's form, never late (R2, R3, X9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
import sqlalchemy

from hub.clock import FakeClock
from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import Contact, EmployeeId
from hub.errors import Unavailable
from hub.ports import Changes
from hub.runtime.account import Account
from hub.runtime.services import Services
from hub.store import clients, codec, forwarding_log
from hub.store.clients import JoinRules
from hub.store.directory import Directory
from hub.store.forwarding_log import ForwardingEntry
from hub.web.forwarding import LEFT_ALONE
from tests.web.conftest import (
    CHANNEL,
    CRM,
    KNOWN,
    POLICY,
    PROJECT,
    STRANGER,
    Web,
    know,
    publish,
    serving,
    set_up,
)

pytestmark = pytest.mark.usefixtures("each_engine")

QUESTION = {"call_id": "ua0_-1.1", "uuid": "u-1", "caller": "380501112233", "dst": "380441234567"}


def question(caller: str = "380501112233", uuid: str = "") -> dict[str, str]:
    return {**QUESTION, "caller": caller, "uuid": uuid}


async def journal(web: Web) -> list[ForwardingEntry]:
    """The journal as it stands once everything that was answered is in it, oldest first."""
    while web.app.forwarding.journal.waiting:
        await web.app.forwarding.journal.flush()
    return web.services.store.read_now(lambda conn: forwarding_log.list_entries(conn, PROJECT))[::-1]


# --- the answer -------------------------------------------------------------------------------------------------


async def test_the_open_deals_responsible_is_rung(web: Web) -> None:
    answer = await web.client.post(web.forward(), json=question())
    assert (answer.status_code, answer.text) == (200, "examplecom_olena")


async def test_without_a_deal_the_contacts_responsible_is_rung(web: Web) -> None:
    know(web.services, STRANGER, contact_of="2", id="c2")
    answer = await web.client.post(web.forward(), json=question(STRANGER))
    assert answer.text == "380671110000"


async def test_without_either_who_talked_last_is_rung(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    # a busy machine may need more than a tenth of a second to ask PostgreSQL
    monkeypatch.setattr("hub.web.forwarding.PATIENCE", timedelta(seconds=30))
    now = web.services.clock.now()

    def talked(conn: Any) -> None:
        found = clients.resolve(conn, PROJECT, Identity(phones=(STRANGER,)), JoinRules(), now=now)
        clients.set_last_talked(conn, found.client_id, EmployeeId("petro"), now)

    web.services.store.write_now(talked)
    answer = await web.client.post(web.forward(), json=question(STRANGER))
    assert answer.text == "380671110000"


@pytest.mark.parametrize("each_engine", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_a_database_that_does_not_answer_holds_no_caller_up(
    web: Web, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3, H9: who talked last is known over the network only; once it is slow it is left alone for a while."""
    store, now = web.services.store, clock.now()

    def talked(conn: Any) -> None:
        found = clients.resolve(conn, PROJECT, Identity(phones=(STRANGER,)), JoinRules(), now=now)
        clients.set_last_talked(conn, found.client_id, EmployeeId("petro"), now)

    store.write_now(talked)
    with sqlalchemy.create_engine(store.url, poolclass=sqlalchemy.NullPool).connect() as other:
        other.exec_driver_sql("LOCK TABLE client_key IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(30):  # whoever waited for the lock would wait for ever
            answers = [await web.client.post(web.forward(), json=question(STRANGER)) for _ in range(5)]
        assert [(answer.status_code, answer.text) for answer in answers] == [(200, "")] * 5
    assert (await web.client.post(web.forward(), json=question(STRANGER))).text == ""
    waited = [record for record in caplog.records if getattr(record, "action", "") == "forwarding.unremembered"]
    assert len(waited) == 1, "each may wait for a tenth of a second, and only the first does"
    clock.advance(LEFT_ALONE)
    monkeypatch.setattr("hub.web.forwarding.PATIENCE", timedelta(seconds=30))  # a busy machine may need more
    assert (await web.client.post(web.forward(), json=question(STRANGER))).text == "380671110000"


@pytest.mark.parametrize("caller", ["380671234567", "", "anonymous", "12", "x" * 500])
async def test_whoever_is_new_or_hidden_goes_on_by_the_scheme(web: Web, caller: str) -> None:
    """R5: the empty answer lets Ringostat go to its next block."""
    answer = await web.client.post(web.forward(), json=question(caller))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_out_of_hours_nobody_is_rung(web: Web) -> None:
    publish(
        web.services,
        POLICY.replace('time_zone = "Europe/Kyiv"', 'time_zone = "Europe/Kyiv"\nschedule = "office"')
        + '\n[schedules.office.hours]\n"mon-fri" = ["09:00-11:00"]\n',
    )
    assert (await web.client.post(web.forward(), json=question())).content == b""


async def test_while_the_responsible_is_away_the_deputy_is_rung(web: Web) -> None:
    away = '\n[[employees.absences]]\nsince = 2026-03-01\nuntil = 2026-03-03\ndeputy = "petro"\n'
    publish(web.services, POLICY.replace('["examplecom_olena"]\n', f'["examplecom_olena"]\n{away}'))
    assert (await web.client.post(web.forward(), json=question())).text == "380671110000"


@pytest.mark.parametrize(
    ("settings", "sent", "expected"),
    [
        ({}, question(), b"examplecom_olena"),
        ({"reply_form": "json", "reply_key": "to"}, question(), b'{"to":"examplecom_olena"}'),
        ({"reply_form": "json", "reply_key": "to"}, question("380671234567"), b'{"to":""}'),
        (
            {"reply_form": "json-rpc", "reply_key": "to"},
            {"jsonrpc": "2.0", "id": 7, "method": "route", "params": question()},
            b'{"jsonrpc":"2.0","id":7,"result":{"to":"examplecom_olena"}}',
        ),
    ],
    ids=["plain", "json", "json-empty", "json-rpc"],
)
async def test_every_form_of_the_answer(
    make_services: Callable[..., Services], settings: Mapping[str, Any], sent: Any, expected: bytes
) -> None:
    services = make_services()
    try:
        set_up(services, channel=settings)
        async with serving(services) as web:
            answer = await web.client.post(web.forward(), json=sent)
            assert (answer.status_code, answer.content) == (200, expected)
    finally:
        services.close()


async def test_the_question_may_come_in_the_address(web: Web) -> None:
    answer = await web.client.get(web.forward(), params=question())
    assert answer.text == "examplecom_olena"


async def test_connection_close_is_kept(web: Web) -> None:
    answer = await web.client.post(web.forward(), json=question(), headers={"connection": "close"})
    assert answer.text == "examplecom_olena"
    assert answer.headers["connection"] == "close"


# --- nothing but 200 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b"caller", b'{"caller":{}}', b"x" * 8193, b"[" * 4000]
)
async def test_garbage_is_answered_empty(web: Web, body: bytes) -> None:
    answer = await web.client.post(web.forward(), content=body)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_question_that_never_ends_is_answered_empty(web: Web) -> None:
    web.app.forwarding.watch.longest = -1.0
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(f"POST {web.forward()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
    await writer.drain()
    assert b" 200 " in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_a_broken_directory_is_answered_empty(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside, the call goes on by the telephony's scheme."""
    web.services.directory.close()
    answer = await web.client.post(web.forward(), json=question())
    assert (answer.status_code, answer.content) == (200, b"")


async def test_no_policy_yet_is_answered_empty(make_services: Callable[..., Services]) -> None:
    services = make_services()
    try:
        set_up(services, policy="this is = = no policy")
        async with serving(services) as web:
            answer = await web.client.post(web.forward(), json=question())
            assert (answer.status_code, answer.content) == (200, b"")
    finally:
        services.close()


async def test_a_locked_journal_delays_no_answer(web: Web) -> None:
    """The answer is not in the database when it leaves, and need not be."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block(_: object) -> None:
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(60)

    writing = asyncio.create_task(web.services.store.write(block))
    try:
        # whoever waited for the database would wait until the test lets it go
        answer = await web.client.post(web.forward(), json=question())
    finally:
        held.set()
    assert answer.text == "examplecom_olena"
    await writing
    assert [entry.destination for entry in await journal(web)] == ["examplecom_olena"]


# --- the age of the fact and the journal ------------------------------------------------------------------------


async def test_the_age_of_the_fact_goes_with_the_answer(web: Web, clock: FakeClock) -> None:
    clock.advance(timedelta(seconds=75))
    answer = await web.client.post(web.forward(), json=question())
    assert answer.headers["x-hub-fact-age"] == "75"
    [entry] = await journal(web)
    assert entry.age == timedelta(seconds=75)


async def test_a_healthy_feed_vouches_for_what_it_did_not_mention(web: Web, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=1))
    as_of = clock.now() - timedelta(seconds=5)
    web.services.directory.fold(PROJECT, CRM, Changes(as_of=as_of), clock.now())
    known = await web.client.post(web.forward(), json=question())
    stranger = await web.client.post(web.forward(), json=question(STRANGER))
    assert (known.headers["x-hub-fact-age"], stranger.headers["x-hub-fact-age"]) == ("5", "5")


async def test_the_journal_explains_the_answer(web: Web) -> None:
    """Every forwarding answer can be asked why (X1)."""
    await web.client.post(web.forward(), json=question(uuid="u-9"))
    await web.client.post(web.forward(), json=question(STRANGER))
    known, stranger = await journal(web)
    assert (known.channel, known.uuid, known.call_id, known.caller) == (CHANNEL, "u-9", "ua0_-1.1", KNOWN)
    assert (known.destination, known.employee) == ("examplecom_olena", "olena")
    told = codec.load_json(known.explanation)
    assert told["reason"]["code"] == "deal_responsible"
    assert [candidate["employee"] for candidate in told["candidates"]] == ["olena"]
    assert (told["connection"], told["policy_version"]) == (CRM, 1)
    assert stranger.destination == ""
    assert codec.load_json(stranger.explanation)["reason"]["code"] == "new_client"
    assert codec.load_json(stranger.explanation)["is_importing"] is True


async def test_asked_twice_it_answers_alike(web: Web) -> None:
    first = await web.client.post(web.forward(), json=question(uuid="same"))
    know(web.services, KNOWN, contact_of="2", deal_of="2")
    again = await web.client.post(web.forward(), json=question(uuid="same"))
    other = await web.client.post(web.forward(), json=question(uuid="other"))
    assert (first.text, again.text, other.text) == ("examplecom_olena", "examplecom_olena", "380671110000")
    assert codec.load_json((await journal(web))[1].explanation)["is_repeated"] is True


async def test_asked_again_after_a_restart_it_answers_alike(make_services: Callable[..., Services]) -> None:
    services = make_services()
    set_up(services)
    async with serving(services) as web:
        await web.client.post(web.forward(), json=question(uuid="same"))
    know(services, KNOWN, contact_of="2", deal_of="2")
    services.close()
    services = make_services()
    try:
        async with serving(services) as web:
            answer = await web.client.post(web.forward(), json=question(uuid="same"))
            assert answer.text == "examplecom_olena"
    finally:
        services.close()


async def test_the_journal_outlives_a_database_that_fails(web: Web) -> None:
    store = web.services.store
    store.write_now(lambda conn: conn.exec_driver_sql("ALTER TABLE forwarding_log RENAME TO elsewhere"))
    await web.client.post(web.forward(), json=question(uuid="kept"))
    assert await web.app.forwarding.journal.flush() is False
    store.write_now(lambda conn: conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO forwarding_log"))
    assert [entry.uuid for entry in await journal(web)] == ["kept"]


# --- asking the CRM ---------------------------------------------------------------------------------------------


@dataclass
class Crm:
    """A CRM that knows one client the directory does not, as far as forwarding asks it."""

    answers: Callable[[], Any]
    directory: Directory
    asked: list[Phone] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_ask: bool = True

    @property
    def session(self) -> Crm:
        return self

    async def search(self, identity: Identity) -> Changes:
        self.asked.append(identity.phones[0])
        self.begun.set()
        await self.answers()
        return Changes(contacts=(Contact(id="c9", phones=identity.phones, responsible=EmployeeId("@1")),))

    async def fold(self, changes: Changes, seen_at: datetime) -> None:
        await self.directory.fold_async(PROJECT, CRM, changes, seen_at)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


def ask(web: Web, answers: Callable[[], Any], *, budget: str = "300ms") -> Crm:
    publish(web.services, f'{POLICY}\n[forwarding]\nask_crm = true\nbudget = "{budget}"\n')
    crm = Crm(answers, web.services.directory)
    web.services.accounts[PROJECT, CRM] = cast("Account", crm)
    return crm


async def at_once() -> None:
    return None


async def test_an_unknown_caller_may_be_asked_of_the_crm(web: Web) -> None:
    crm = ask(web, at_once, budget="5s")
    answer = await web.client.post(web.forward(), json=question(STRANGER))
    assert answer.text == "examplecom_olena"
    assert crm.asked == [STRANGER]
    [entry] = await journal(web)
    assert codec.load_json(entry.explanation)["asked_crm"] == "answered"


async def test_a_known_caller_is_not_asked(web: Web) -> None:
    crm = ask(web, at_once)
    assert (await web.client.post(web.forward(), json=question())).text == "examplecom_olena"
    assert crm.asked == []


async def test_a_crm_that_hangs_costs_the_budget_and_no_more(web: Web) -> None:
    """R3: the answer never waits on a slow CRM beyond its time budget."""
    ask(web, asyncio.Event().wait, budget="50ms")
    began = asyncio.get_running_loop().time()
    answer = await web.client.post(web.forward(), json=question(STRANGER))
    assert (answer.status_code, answer.content) == (200, b"")
    assert asyncio.get_running_loop().time() - began < 2
    [entry] = await journal(web)
    assert codec.load_json(entry.explanation)["asked_crm"] == "too slow"


async def test_a_crm_that_is_down_is_answered_empty(web: Web) -> None:
    async def fail() -> None:
        raise Unavailable("down", connection=CRM)

    crm = ask(web, fail, budget="5s")
    answer = await web.client.post(web.forward(), json=question(STRANGER))
    assert (answer.status_code, answer.content) == (200, b"")
    assert [type(error) for error in crm.failures] == [Unavailable]


async def test_the_same_question_while_the_crm_is_asked_waits_for_the_same_answer(web: Web) -> None:
    go = asyncio.Event()
    crm = ask(web, go.wait, budget="5s")
    first = asyncio.create_task(web.client.post(web.forward(), json=question(STRANGER, "same")))
    await asyncio.wait_for(crm.begun.wait(), 30)
    second = asyncio.create_task(web.client.post(web.forward(), json=question(STRANGER, "same")))
    await web.client.get("/healthz")
    go.set()
    assert [(await first).text, (await second).text] == ["examplecom_olena"] * 2
    assert crm.asked == [STRANGER]
