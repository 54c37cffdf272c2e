"""The stream of what pops up: tickets, resuming, restarts, slow readers, and who sees what (U1, DESIGN 8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from starlette.types import Message

from hub.clock import FakeClock
from hub.core.interaction import Direction, InteractionId
from hub.core.popup import Addressee, Popup, PopupState, Preferences
from hub.core.records import EmployeeId
from hub.core.shown import Shown
from hub.runtime.live import LINGER, MOST_QUEUED, MOST_TABS, PRESENT, Viewer
from hub.runtime.services import Services
from hub.store import events, popup_preferences, popups, presence
from hub.store.popups import CARD, Kept, Told
from hub.web.widget.live import TICKET_LIFE, make_ticket
from tests.end_to_end.tabs import Tab, open_tab
from tests.web.conftest import CRM, NOW, POLICY, PROJECT, Web, publish, serving, set_up
from tests.web.widget_page import HUB, ORIGIN, PETRO, Page, claims, connect, open_page, sign

OLENA_ID, PETRO_ID = EmployeeId("olena"), EmployeeId("petro")
CALL = Popup(
    key="i1",
    kind="call",
    interaction=InteractionId("i1"),
    direction=Direction.INBOUND,
    at=NOW,
    to=(Addressee(employee=OLENA_ID, state=PopupState.RINGING, why="rung"),),
)
SHOWN = Shown(name="Jana", phone="+380501112233", channel="phone")


async def tell(services: Services, popup: Popup, before: Kept | None = None) -> Kept:
    """A popup moves, as the hub's work stores it."""
    now = services.clock.now()
    told = Told(popup=popup, shown=SHOWN)
    kept = await services.store.write(lambda conn: popups.put(conn, PROJECT, before, told, now))
    services.live.wake()
    assert kept is not None
    return kept


@asynccontextmanager
async def tab(web: Web, employee: str, *, after: str = "", language: str = "en") -> AsyncIterator[Tab]:
    address = f"http://127.0.0.1:{web.port}"
    async with open_tab(web.services, address, PROJECT, CRM, employee, after=after, language=language) as found:
        yield found


@pytest.fixture
async def opened(make_services: Callable[..., Services]) -> AsyncIterator[tuple[Web, Page]]:
    async with open_page(make_services) as found:
        yield found


async def test_session_brings_a_ticket_that_opens_the_employees_own_stream(opened: tuple[Web, Page]) -> None:
    """One call of the widget is enough to begin; another ticket costs one more."""
    web, page = opened
    told = (await page.post("/session", {"version": "1.0.0"})).json()
    assert (told["expires_in"], told["stream"]) == (60, "/widget/api/live")
    assert (told["popups"]["calls"], told["popups"]["sound"]) == (True, False)
    again = (await page.post("/ticket")).json()
    for ticket in (told["ticket"], again["ticket"]):
        query = {"ticket": ticket, "after": told["after"], "lang": "uk"}
        headers = {"Origin": ORIGIN}
        async with web.client.stream("GET", "/widget/api/live", params=query, headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: hello"
    assert (await page.post("/ticket", None)).status_code == 200
    page.token = ""
    assert (await page.post("/ticket")).status_code == 401


NO_TICKETS: list[tuple[str, Callable[[Services], str]]] = [
    ("none", lambda services: ""),
    ("no ticket of ours", lambda services: "gAAAAABm" + "x" * 60),
    ("not even letters", lambda services: "так"),
    ("a secret of ours, but no ticket", lambda services: services.cipher.encrypt_json({"project": PROJECT}).decode()),
    ("a project that is gone", lambda services: make_ticket(services, "other", CRM, OLENA_ID)),
    ("a connection that is gone", lambda services: make_ticket(services, PROJECT, "other", OLENA_ID)),
    ("an employee who has left", lambda services: make_ticket(services, PROJECT, CRM, EmployeeId("maria"))),
]


@pytest.mark.parametrize(("name", "ticket"), NO_TICKETS, ids=[name for name, _ in NO_TICKETS])
async def test_stream_without_a_good_ticket_is_refused(
    opened: tuple[Web, Page], name: str, ticket: Callable[[Services], str]
) -> None:
    web, _ = opened
    answer = await web.client.get("/widget/api/live", params={"ticket": ticket(web.services), "lang": "en"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "bad_ticket"
    async with tab(web, "olena") as well:
        assert well.is_open


async def test_ticket_that_expires_during_a_restart_is_replaced_and_nothing_is_missed(
    make_services: Callable[..., Services], clock: FakeClock
) -> None:
    """Issue 5: the stream ends with its process, the old ticket is refused, a new one goes on after the last event."""
    services = make_services(public_url=HUB)
    set_up(services)
    connect(services)
    async with serving(services) as web:
        first = make_ticket(services, PROJECT, CRM, OLENA_ID)
        async with tab(web, "olena") as seen:
            kept = await tell(services, CALL)
            await seen.until(lambda: seen.states == ["ringing"])
            last = seen.last_id
    services.close()
    services = make_services(public_url=HUB)
    try:
        # while no process was there to tell it, the call was answered and another one came
        taken = replace(CALL, to=(replace(CALL.to[0], state=PopupState.TALKING),), answered_by=OLENA_ID)
        await tell(services, taken, kept)
        await tell(services, replace(CALL, key="i2", interaction=InteractionId("i2")))
        async with serving(services) as web:
            # within its life a ticket opens streams of the next process too
            assert (await _status(web, first)) == 200
            clock.advance(TICKET_LIFE + timedelta(seconds=1))
            assert (await _status(web, first)) == 401
            page = Page(web.client, sign(claims(exp=int(clock.now().timestamp()) + 600)))
            renewed = (await page.post("/ticket")).json()["ticket"]
            assert (await _status(web, renewed)) == 200
            async with tab(web, "olena", after=last) as seen:
                await seen.until(lambda: sorted(seen.states) == ["ringing", "talking"])
    finally:
        services.close()


async def _status(web: Web, ticket: str) -> int:
    async with web.client.stream("GET", "/widget/api/live", params={"ticket": ticket}) as answer:
        return answer.status_code


async def test_popup_is_told_in_the_readers_language_and_to_nobody_else(opened: tuple[Web, Page]) -> None:
    web, _ = opened
    async with tab(web, "olena", language="uk") as olena, tab(web, "petro") as petro:
        await tell(web.services, CALL)
        await olena.until(lambda: olena.states == ["ringing"])
        [shown] = olena.screen.values()
        assert shown["why"] == "Дзвінок надійшов вам"
        assert shown["client"] == {"id": "", "name": "Jana", "phone": "+380501112233", "is_known": False}
        # what is told afterwards to both has reached both: nothing before it was Petro's
        both = tuple(Addressee(employee=one, state=PopupState.RINGING, why="rung") for one in (OLENA_ID, PETRO_ID))
        await tell(web.services, replace(CALL, key="i2", interaction=InteractionId("i2"), to=both))
        await petro.until(lambda: list(petro.screen) == ["i2"])
        assert [kind for kind, _, _ in petro.events] == ["hello", "popup"]


def has_card(page: Tab) -> bool:
    return any(kind == "card" for kind, _, _ in page.events)


async def test_a_card_that_changed_is_told_to_the_pages_of_its_crm(opened: tuple[Web, Page]) -> None:
    """U1: every employee's page of that CRM hears which cards show something else now, with amoCRM's words."""
    web, _ = opened
    services, now = web.services, web.services.clock.now()

    async def change(project: str, *records: tuple[str, str, str]) -> None:
        body = {"records": records}
        await services.store.write(lambda conn: events.append(conn, project=project, kind=CARD, body=body, now=now))
        services.live.wake()

    async with tab(web, "olena") as olena, tab(web, "petro") as petro:
        await change("another", (CRM, "contact", "1"))
        await change(PROJECT, ("zoho", "contact", "2"))
        await change(PROJECT, (CRM, "contact", "7"), ("zoho", "deal", "3"), (CRM, "deal", "71"))
        for page in (olena, petro):
            await page.until(partial(has_card, page))
            told = [body["entities"] for kind, _, body in page.events if kind == "card"]
            assert told == [[{"entity": "contact", "id": "7"}, {"entity": "lead", "id": "71"}]]


async def test_what_an_employee_does_not_want_does_not_pop_up(opened: tuple[Web, Page]) -> None:
    """U1's settings hold from the next popup on, in every open tab."""
    web, _ = opened
    services = web.services
    async with tab(web, "olena") as olena:
        wanted = Preferences(calls=False)
        now = services.clock.now()
        await services.store.write(lambda conn: popup_preferences.put(conn, PROJECT, OLENA_ID, wanted, now))
        await tell(services, CALL)
        await tell(services, replace(CALL, key="m", kind="message", interaction=InteractionId("m")))
        await olena.until(lambda: list(olena.screen) == ["m"])
        async with tab(web, "olena") as later:
            await later.until(lambda: list(later.screen) == ["m"])


async def test_dismissed_in_one_tab_is_gone_in_all_and_stays_gone(opened: tuple[Web, Page]) -> None:
    """It comes back only if the employee talks; another employee keeps theirs."""
    web, page = opened
    both = tuple(Addressee(employee=one, state=PopupState.RINGING, why="rung") for one in (OLENA_ID, PETRO_ID))
    async with tab(web, "olena") as one, tab(web, "olena") as other, tab(web, "petro") as petro:
        kept = await tell(web.services, replace(CALL, to=both))
        await other.until(lambda: other.states == ["ringing"])
        answer = await page.post("/popups/i1/dismiss", {"request": "d1"})
        assert (answer.status_code, answer.json()) == (200, {})
        assert (await page.post("/popups/i1/dismiss", {"request": "d1"})).status_code == 200
        await one.until(lambda: one.screen == {})
        await other.until(lambda: other.screen == {})
        assert petro.states == ["ringing"]
        async with tab(web, "olena") as later:
            stored = await web.services.store.read(lambda conn: popups.find(conn, PROJECT, "i1"))
            assert stored is not None
            missed = replace(stored.popup, to=tuple(replace(x, state=PopupState.MISSED) for x in both))
            kept = await tell(web.services, missed, stored)
            await petro.until(lambda: petro.states == ["missed"])
            talking = replace(kept.popup, to=(replace(both[0], state=PopupState.TALKING), both[1]))
            await tell(web.services, talking, kept)
            await later.until(lambda: later.states == ["talking"])
            assert [body["state"] for kind, _, body in later.events if kind == "popup"] == ["talking"]


async def test_tab_that_opens_while_it_rings_shows_it(opened: tuple[Web, Page], clock: FakeClock) -> None:
    """A page that was reloaded; but nothing rings for ever."""
    web, _ = opened
    kept = await tell(web.services, CALL)
    async with tab(web, "olena", after=str(kept.event_id)) as olena:
        await olena.until(lambda: olena.states == ["ringing"])
    clock.advance(timedelta(minutes=4))
    async with tab(web, "olena", after=str(kept.event_id)) as late:
        await tell(web.services, replace(CALL, key="i2", interaction=InteractionId("i2")))
        await late.until(lambda: list(late.screen) == ["i2"])


async def test_slow_reader_is_cut_off_and_comes_back(opened: tuple[Web, Page]) -> None:
    """What waits for one tab is bounded; the others lose nothing."""
    web, _ = opened
    services = web.services
    slow = services.live.events(Viewer(project=PROJECT, connection=CRM, employee=OLENA_ID, language="en"), 0)
    assert (await anext(slow)).kind == "hello"
    async with tab(web, "olena") as quick:
        kept = await tell(services, CALL)
        for number in range(MOST_QUEUED + 5):
            kept = await tell(services, replace(CALL, text=str(number)), kept)
        await quick.until(lambda: [one["text"] for one in quick.screen.values()] == [str(MOST_QUEUED + 4)])
        assert [event.kind async for event in slow] == []
    async with tab(web, "olena") as again:
        await again.until(lambda: [one["text"] for one in again.screen.values()] == [str(MOST_QUEUED + 4)])


async def test_reader_who_sleeps_with_the_connection_open_is_cut_off_quietly(
    opened: tuple[Web, Page], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A laptop that was closed: its stream ends, and nobody is alarmed."""
    web, _ = opened
    monkeypatch.setattr("hub.web.widget.live.SLOWEST", 0.2)
    ticket = make_ticket(web.services, PROJECT, CRM, OLENA_ID)
    asleep = asyncio.Event()

    async def send(message: Message) -> None:
        if b"popup" in message.get("body", b""):
            await asleep.wait()

    async def receive() -> Message:
        await asleep.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/widget/api/live",
        "query_string": f"ticket={ticket}".encode(),
        "headers": [],
    }
    await tell(web.services, CALL)
    async with asyncio.timeout(60):
        await web.app(scope, receive, send)
    assert len(web.services.live) == 0
    assert [record.levelname for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize("employee", [OLENA_ID, None], ids=["employee", "administrator who is none"])
async def test_one_viewer_keeps_a_bounded_number_of_streams(
    opened: tuple[Web, Page], employee: EmployeeId | None
) -> None:
    """One ticket opens streams for a minute, but not without end: the oldest gives way."""
    web, _ = opened
    viewer = Viewer(project=PROJECT, connection=CRM, employee=employee, language="en")
    streams = [web.services.live.events(viewer, 0) for _ in range(MOST_TABS + 1)]
    assert [(await anext(stream)).kind for stream in streams] == ["hello"] * (MOST_TABS + 1)
    assert [event async for event in streams[0]] == []
    assert len(web.services.live) == MOST_TABS
    for stream in streams[1:]:
        await stream.aclose()
    assert len(web.services.live) == 0


async def test_stopping_waits_for_no_stream(
    make_services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart is quick however many tabs are open: they are ended, and nobody waits until they go by themselves."""
    monkeypatch.setattr("hub.web.server.GRACE", 3600)
    services = make_services(public_url=HUB)
    try:
        set_up(services)
        async with asyncio.timeout(120), serving(services) as web:
            address = f"http://127.0.0.1:{web.port}"
            tabs = [open_tab(services, address, PROJECT, CRM, "olena") for _ in range(5)]
            opened = [await one.__aenter__() for one in tabs]
        for found in opened:
            await found.until(lambda found=found: not found.is_open)  # type: ignore[misc]  # a default in a lambda
        for one in tabs:
            await one.__aexit__(None, None, None)
    finally:
        services.close()


async def test_whoever_leaves_the_policy_is_told_and_hears_nothing_more(opened: tuple[Web, Page]) -> None:
    """W4: an open stream does not outlive the right to it; those who stay are told that something changed."""
    web, _ = opened
    async with tab(web, "olena") as olena, tab(web, "petro") as petro:
        publish(web.services, POLICY.replace('id = "petro"', 'id = "maria"'))
        web.services.live.wake()
        await petro.until(lambda: not petro.is_open)
        assert [kind for kind, _, _ in petro.events] == ["hello", "staff"]
        await olena.until(lambda: [kind for kind, _, _ in olena.events] == ["hello", "staff"])
        assert olena.is_open


async def test_open_tabs_are_known_to_all_processes_until_they_are_closed(
    opened: tuple[Web, Page], clock: FakeClock
) -> None:
    """The CRM's own notice is for those who have none; a reload is no closing, a silent process is one."""
    web, _ = opened
    services = web.services

    async def present() -> frozenset[tuple[str, EmployeeId]]:
        return await services.store.read(lambda conn: presence.present(conn, PROJECT, clock.now()))

    async def until(wanted: set[tuple[str, EmployeeId]]) -> None:
        end = time.monotonic() + 30
        while await present() != wanted:
            assert time.monotonic() < end, await present()
            await asyncio.sleep(0.01)

    async with tab(web, "olena"):
        assert await present() == {(CRM, OLENA_ID)}
        async with tab(web, "olena"):
            pass
        assert await present() == {(CRM, OLENA_ID)}
        # a process that was killed says nothing more; this one says it again
        gone = clock.now() + PRESENT
        await services.store.write(
            lambda conn: presence.begin(conn, PROJECT, CRM, PETRO_ID, process="killed", until=gone)
        )
        assert await present() == {(CRM, OLENA_ID), (CRM, PETRO_ID)}
        clock.advance(timedelta(minutes=1))
        await until({(CRM, OLENA_ID)})
    while len(services.live):  # noqa: ASYNC110 - the stream ends when the server has seen the connection close
        await asyncio.sleep(0.01)
    assert await present() == {(CRM, OLENA_ID)}
    clock.advance(LINGER + timedelta(seconds=1))
    await until(set())


async def test_administrator_who_is_no_employee_sees_no_popups(make_services: Callable[..., Services]) -> None:
    """W4: cards and news of the project, nobody's calls."""
    async with open_page(make_services, user=99) as (web, page):
        page.token = sign(claims(99, is_admin=True))
        told = (await page.post("/session")).json()
        assert told["employee"] is None
        query = {"ticket": told["ticket"]}
        async with web.client.stream("GET", "/widget/api/live", params=query) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: hello"
            await tell(web.services, CALL)
            publish(web.services, POLICY + "\n# changed\n")
            web.services.live.wake()
            kinds = [line.removeprefix("event: ") async for line in _until(lines, "event: staff")]
            assert "popup" not in kinds
        page.token = sign(claims(PETRO))
        assert (await page.post("/popups/i1/dismiss", {"request": "x"})).status_code == 200


async def _until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == last:
            return
