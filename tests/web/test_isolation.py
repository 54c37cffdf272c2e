"""No request of one project reads or changes another's data: every route that the hub serves is tried (H8).

The table names each route; one that is added and does not stand here fails `test_every_route_is_tried`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert, select
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from hub.core.interaction import ClientId, Identity, InteractionId, ProjectId
from hub.core.outgoing import Outgoing, OutgoingState
from hub.core.records import Contact, Deal, Task
from hub.ports import Changes, RawRequest
from hub.runtime.services import Services
from hub.store import inbox, interactions, outgoing, policies, projects, schema, users, work
from hub.store.inbox import InboxStatus
from hub.store.migrations import TABLES
from hub.store.projects import Status
from hub.store.work import WorkState
from hub.testing.messages import message
from hub.web.app import build_app
from tests.web.conftest import CHANNEL, CRM, CRM_SECRET, POLICY, PROJECT, SECRET, STRANGER, Web, serving, set_up
from tests.web.widget_page import HUB, LIFE, ORIGIN, SETTINGS, claims, connect, sign

#: the project that is attacked: what it is called may stand in an address, what it holds bears the mark
BANK, LINE, BANK_CRM = "bank", "bankline", "bankcrm"
LINE_SECRET, BANK_CRM_SECRET = "f00d" * 8, "beef" * 8
MARK = "Zlatopil"
CLIENT, CALL = ClientId("cbank"), InteractionId("ibank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One request of somebody who belongs to the shop; what the answer's status may be."""

    path: str
    method: str = "GET"
    #: nobody | admin (of the shop, in the console) | widget (an employee before the shop's CRM)
    who: str = "nobody"
    body: Mapping[str, Any] | None = None
    status: tuple[int, ...] = (404,)
    more: Mapping[str, str] | None = None


def of_admin(path: str, *statuses: int, method: str = "GET", body: Mapping[str, Any] | None = None) -> Try:
    return Try(path=path, method=method, who="admin", body=body, status=statuses or (404,))


def of_widget(path: str, *statuses: int, method: str = "GET", body: Mapping[str, Any] | None = None) -> Try:
    return Try(path=f"/widget/api{path}", method=method, who="widget", body=body, status=statuses or (404,))


def page(path: str, *, methods: str = "GET", body: Mapping[str, Any] | None = None) -> list[Try]:
    """A page of the console or the set-up under the bank's name: there is no such project for who may not see it."""
    return [of_admin(path, 404, method=method, body=body) for method in methods.split()]


PROXIED = {"x-forwarded-for": "203.0.113.7"}
#: what every action of the widget says, and a moment to come
ASKS = {"request": "6b0c7e2a-0000-4000-8000-000000000077"}
LATER = "2026-03-03T15:00:00+00:00"
#: by the route's path: what is tried
TABLE: dict[str, Sequence[Try]] = {
    # --- vendors: each address has its own secret, which opens no other
    "/hooks/{project}/{channel}/{secret}": [
        Try(path=f"/hooks/{BANK}/{LINE}/{SECRET}", method="POST"),
        Try(path=f"/hooks/{BANK}/{CHANNEL}/{SECRET}", method="POST"),
        Try(path=f"/hooks/{PROJECT}/{LINE}/{SECRET}", method="POST"),
        Try(path=f"/hooks/{PROJECT}/{CHANNEL}/{LINE_SECRET}", method="POST"),
        Try(path=f"/hooks/{BANK}/{BANK_CRM}/{BANK_CRM_SECRET}", method="POST"),
    ],
    "/forward/{project}/{channel}/{secret}": [
        Try(path=f"/forward/{BANK}/{LINE}/{SECRET}?caller={STRANGER}"),
        Try(path=f"/forward/{PROJECT}/{CHANNEL}/{LINE_SECRET}?caller={STRANGER}"),
        # its own address: whom the bank's directory knows is a stranger here
        Try(path=f"/forward/{PROJECT}/{CHANNEL}/{SECRET}?caller={STRANGER.lstrip('+')}", status=(200,)),
    ],
    "/forms/{project}/{secret}": [
        Try(path=f"/forms/{BANK}/{SECRET}", method="POST", body={"phone": "1"}),
        Try(path=f"/forms/{PROJECT}/{LINE_SECRET}", method="POST", body={"phone": "1"}),
    ],
    "/crm/{project}/{connection}/{secret}": [
        Try(path=f"/crm/{BANK}/{BANK_CRM}/{CRM_SECRET}", method="POST"),
        Try(path=f"/crm/{PROJECT}/{BANK_CRM}/{CRM_SECRET}", method="POST"),
        Try(path=f"/crm/{PROJECT}/{CRM}/{BANK_CRM_SECRET}", method="POST"),
    ],
    "/oauth/{vendor}/callback": [
        Try(path=f"/oauth/amocrm/callback?code=x&state={BANK}", status=(400, 403, 404)),
        Try(path="/oauth/amocrm/callback?code=x", status=(400, 403, 404)),
    ],
    "/oauth/{vendor}/disconnect": [
        Try(path="/oauth/amocrm/disconnect?account_id=999&client_uuid=bank", status=(400, 401, 403, 404)),
        Try(path="/oauth/amocrm/disconnect?account_id=999&signature=x", status=(400, 401, 403, 404)),
        Try(path="/oauth/amocrm/disconnect", method="POST", status=(400, 401, 403, 404)),
    ],
    # --- for who runs the hub: nothing of any project for others
    "/healthz": [Try(path="/healthz", status=(200,))],
    "/readyz": [Try(path="/readyz", status=(200,), more=PROXIED)],
    "/metrics": [Try(path="/metrics", status=(403,), more=PROXIED)],
    # --- the widget: a token is of one account, and that of one project
    "/widget/api/session": [of_widget("/session", 200, method="POST")],
    "/widget/api/ticket": [of_widget("/ticket", 200, method="POST")],
    "/widget/api/live": [
        Try(path="/widget/api/live?ticket=made-up", status=(401,)),
        Try(path="/widget/api/live", status=(401,)),
    ],
    "/widget/api/popups/{key}/dismiss": [of_widget("/popups/bank-popup/dismiss", 200, 404, method="POST")],
    "/widget/api/card": [
        of_widget("/card?entity=contact&id=77001", 200, 404),
        of_widget("/card?entity=lead&id=77002", 200, 404),
    ],
    "/widget/api/interactions/{id}/why": [of_widget(f"/interactions/{CALL}/why")],
    "/widget/api/clients/{client}/take": [
        of_widget(f"/clients/{CLIENT}/take", method="POST", body=ASKS),
        of_widget(f"/clients/{CLIENT}/take", method="POST", body={**ASKS, "interaction": CALL}),
    ],
    "/widget/api/clients/{client}/create": [
        of_widget(f"/clients/{CLIENT}/create", method="POST", body={**ASKS, "what": ["contact", "deal"]})
    ],
    "/widget/api/clients/{client}/task": [
        of_widget(f"/clients/{CLIENT}/task", 404, 409, method="POST", body={**ASKS, "text": "x", "due": LATER})
    ],
    "/widget/api/clients/{client}/call": [of_widget(f"/clients/{CLIENT}/call", method="POST", body=ASKS)],
    "/widget/api/call": [of_widget("/call", method="POST", body={**ASKS, "phone": "+380507654321"})],
    "/widget/api/settings": [
        of_widget("/settings", 200),
        of_widget("/settings", method="PUT", body={"employees": [{"id": f"{BANK}-clerk", "destinations": ["1"]}]}),
    ],
    # --- the card as a page: a key is of one connection, a signature of one card
    "/panel/{project}/{connection}/open": [
        Try(path=f"/panel/{BANK}/{BANK_CRM}/open?key={BANK_CRM_SECRET}&entity=contact&id=77001", status=(403,)),
        Try(path=f"/panel/{BANK}/{BANK_CRM}/open?entity=contact&id=77001", status=(403,)),
    ],
    "/panel/{project}/{connection}/{entity}/{id}": [
        Try(path=f"/panel/{BANK}/{BANK_CRM}/contact/77001?as=olena&until=9999999999&signature=x", status=(403,)),
    ],
    "/widget/api/clients/{client}/frame": [of_widget(f"/clients/{CLIENT}/frame")],
    "/widget/api/tasks/{entity}/{task}/complete": [
        of_widget("/tasks/contact/77003/complete", method="POST", body={**ASKS, "text": "x"})
    ],
    "/widget/api/tasks/{entity}/{task}/reschedule": [
        of_widget("/tasks/contact/77003/reschedule", method="POST", body={**ASKS, "due": LATER})
    ],
    # --- the console: who may see one project sees no other, whatever ids are in the address
    "/": [of_admin("/", 303)],
    "/console/static": [Try(path="/console/static/journal.js", status=(200,))],
    "/console/login": [
        Try(path="/console/login", status=(200,)),
        of_admin("/console/login", 303, 401, 403, method="POST", body={"login": "x", "password": "x"}),
    ],
    "/console/language": [of_admin("/console/language", 303, method="POST", body={"language": "uk"})],
    "/console/": [of_admin("/console/", 200, 303)],
    "/console/{project}/": page(f"/console/{BANK}/"),
    "/console/{project}/journal": [
        *page(f"/console/{BANK}/journal"),
        of_admin(f"/console/{PROJECT}/journal?q={STRANGER.lstrip('+')}", 200),
        of_admin(f"/console/{PROJECT}/journal?client={CLIENT}", 200),
    ],
    "/console/{project}/journal/rows": [
        *page(f"/console/{BANK}/journal/rows"),
        of_admin(f"/console/{PROJECT}/journal/rows", 200),
    ],
    "/console/{project}/events": page(f"/console/{BANK}/events"),
    "/console/{project}/interactions/{id}": [
        *page(f"/console/{BANK}/interactions/{CALL}"),
        of_admin(f"/console/{PROJECT}/interactions/{CALL}"),
    ],
    "/console/{project}/interactions/{id}/replay": [
        *page(f"/console/{BANK}/interactions/{CALL}/replay", methods="POST"),
        of_admin(f"/console/{PROJECT}/interactions/{CALL}/replay", 303, 404, method="POST"),
    ],
    "/console/{project}/interactions/{id}/no-reply": [
        *page(f"/console/{BANK}/interactions/{CALL}/no-reply", methods="POST"),
        of_admin(f"/console/{PROJECT}/interactions/{CALL}/no-reply", 303, 404, method="POST"),
    ],
    "/console/{project}/clients/{id}": [
        *page(f"/console/{BANK}/clients/{CLIENT}"),
        of_admin(f"/console/{PROJECT}/clients/{CLIENT}"),
    ],
    "/console/{project}/clients/{id}/chat": [
        *page(f"/console/{BANK}/clients/{CLIENT}/chat"),
        of_admin(f"/console/{PROJECT}/clients/{CLIENT}/chat"),
    ],
    "/console/{project}/attention": [
        *page(f"/console/{BANK}/attention"),
        of_admin(f"/console/{PROJECT}/attention", 200),
    ],
    "/console/{project}/attention/messages": [
        *page(f"/console/{BANK}/attention/messages", methods="POST", body={"id": "bank-message", "what": "again"}),
        of_admin(
            f"/console/{PROJECT}/attention/messages", 303, method="POST", body={"id": "bank-message", "what": "again"}
        ),
    ],
    "/console/{project}/attention/read-again": [
        *page(f"/console/{BANK}/attention/read-again", methods="POST"),
        of_admin(f"/console/{PROJECT}/attention/read-again", 303, method="POST"),
        of_admin(f"/console/{PROJECT}/attention/read-again", 303, method="POST", body={"id": "1"}),
    ],
    "/console/{project}/attention/replay": [
        *page(f"/console/{BANK}/attention/replay", methods="POST"),
        of_admin(f"/console/{PROJECT}/attention/replay", 303, method="POST"),
    ],
    "/console/{project}/connections": [
        *page(f"/console/{BANK}/connections"),
        of_admin(f"/console/{PROJECT}/connections", 200),
    ],
    "/console/{project}/connections/resume": [
        *page(f"/console/{BANK}/connections/resume", methods="POST", body={"connection": BANK_CRM}),
        of_admin(
            f"/console/{PROJECT}/connections/resume",
            303,
            404,
            method="POST",
            body={"connection": BANK_CRM, "to": "off"},
        ),
    ],
    "/console/{project}/policy": [
        *page(f"/console/{BANK}/policy"),
        of_admin(f"/console/{PROJECT}/policy", 200),
    ],
    "/console/{project}/mode": page(f"/console/{BANK}/mode", methods="POST", body={"to": "paused"}),
    # --- the set-up
    "/setup/": [of_admin("/setup/", 200), of_admin("/setup/", 200, method="POST")],
    "/setup/new": [
        of_admin("/setup/new", 200, 403),
        # a name that is taken is refused, and nothing of who has it is told
        of_admin(
            "/setup/new",
            200,
            400,
            422,
            403,
            method="POST",
            body={
                "name": BANK,
                "title": "x",
                "preset": "car-dealer",
                "language": "en",
                "region": "UA",
                "time_zone": "Europe/Kyiv",
            },
        ),
    ],
    "/setup/{project}": page(f"/setup/{BANK}"),
    "/setup/{project}/crm": page(f"/setup/{BANK}/crm", methods="GET POST", body={"plugin": "amocrm"}),
    "/setup/{project}/crm/{connection}": [
        *page(f"/setup/{BANK}/crm/{BANK_CRM}", methods="GET POST"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}", method="POST"),
    ],
    "/setup/{project}/crm/{connection}/connect": [
        *page(f"/setup/{BANK}/crm/{BANK_CRM}/connect", methods="POST"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/connect", method="POST"),
    ],
    "/setup/{project}/crm/{connection}/oauth": [
        *page(f"/setup/{BANK}/crm/{BANK_CRM}/oauth"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/oauth"),
    ],
    "/setup/{project}/crm/{connection}/names": [
        *page(f"/setup/{BANK}/crm/{BANK_CRM}/names", methods="GET POST"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/names"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/names", method="POST"),
    ],
    "/setup/{project}/crm/{connection}/employees": [
        *page(f"/setup/{BANK}/crm/{BANK_CRM}/employees", methods="GET POST"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/employees"),
        of_admin(f"/setup/{PROJECT}/crm/{BANK_CRM}/employees", method="POST"),
    ],
    "/setup/{project}/channels": page(f"/setup/{BANK}/channels", methods="GET POST", body={"plugin": "ringostat"}),
    "/setup/{project}/channels/{channel}": [
        *page(f"/setup/{BANK}/channels/{LINE}", methods="GET POST"),
        of_admin(f"/setup/{PROJECT}/channels/{LINE}"),
        of_admin(f"/setup/{PROJECT}/channels/{LINE}", method="POST"),
    ],
    "/setup/{project}/channels/{channel}/addresses": [
        *page(f"/setup/{BANK}/channels/{LINE}/addresses"),
        of_admin(f"/setup/{PROJECT}/channels/{LINE}/addresses"),
    ],
    "/setup/{project}/channels/{channel}/waiting": [
        *page(f"/setup/{BANK}/channels/{LINE}/waiting"),
        of_admin(f"/setup/{PROJECT}/channels/{LINE}/waiting"),
    ],
    "/setup/{project}/channels/{channel}/seen": [
        *page(f"/setup/{BANK}/channels/{LINE}/seen"),
        of_admin(f"/setup/{PROJECT}/channels/{LINE}/seen"),
    ],
    # the last: the session is over then
    "/console/logout": [of_admin("/console/logout", 303, method="POST")],
}


def routes_of(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Each route's whole path, and the methods that it takes; none named = all."""
    for route in routes:
        if isinstance(route, Mount) and not isinstance(route.app, StaticFiles):
            yield from routes_of(route.routes, prefix + route.path)
        elif isinstance(route, Mount | Route):
            methods = getattr(route, "methods", None) or ()
            yield prefix + route.path, frozenset(methods) - {"HEAD", "OPTIONS"}
        else:
            raise TypeError(f"another kind of route: {route}")


def test_every_route_is_tried(make_services: Callable[..., Services]) -> None:
    """A route that is added must be thought of here."""
    services = make_services()
    try:
        served = dict(routes_of(build_app(services).routes))
    finally:
        services.close()
    assert served.keys() == TABLE.keys()
    for path, methods in served.items():
        tried = {one.method for one in TABLE[path]}
        # the widget's answer 405 to all but one
        if methods <= {"GET", "POST"}:
            assert methods <= tried or not methods, path


def _fill_bank(services: Services) -> None:
    """A project whose every record bears the mark."""
    store, cipher, now = services.store, services.cipher, services.clock.now()
    policy = POLICY.replace("Olena", f"Olena {MARK}").replace("Petro", f"Petro {MARK}")
    settings = {
        **SETTINGS,
        "address": "https://bank9.amocrm.ru",
        "account_id": "999",
        "client_id": "bank",
        "client_secret": "s" * 64,
    }

    def put(conn: Connection) -> None:
        projects.add_project(conn, BANK, now=now, title=f"{MARK} Bank")
        projects.change_project(conn, BANK, mode="live")
        projects.change_project(conn, PROJECT, mode="live")
        projects.add_channel(
            conn, cipher, project=BANK, name=LINE, source="ringostat", settings={}, now=now, secret=LINE_SECRET
        )
        projects.add_connection(
            conn, cipher, project=BANK, name=BANK_CRM, sink="amocrm", settings=settings, now=now, secret=BANK_CRM_SECRET
        )
        projects.set_status(conn, BANK, BANK_CRM, Status.READY, now=now)
        policies.publish(conn, BANK, text=policy, author=MARK, based_on=None, now=now)
        who = Identity(phones=(STRANGER,), handles=(("whatsapp", "9"),), name=f"{MARK} Client")
        conn.execute(insert(schema.client).values(id=CLIENT, project=BANK, name=who.name, created_at=now))
        key = {"project": BANK, "kind": "phone", "value": STRANGER, "client_id": CLIENT, "created_at": now}
        conn.execute(insert(schema.client_key).values(**key))
        told = replace(message(f"{MARK} text"), id=CALL, project=ProjectId(BANK), channel=LINE, client=who)
        stored = interactions.put(conn, told, client_id=CLIENT, received_at=now, decide_at=now)
        work.add(
            conn,
            interaction_id=CALL,
            project=BANK,
            client_id=CLIENT,
            sequence=stored.sequence,
            connections=[BANK_CRM],
            now=now,
        )
        item = work.get(conn, CALL, BANK_CRM)
        assert item is not None
        work.put(conn, item, WorkState.ATTENTION, now=now, note=f"{MARK} refused")
        raw = RawRequest(method="POST", body=f"{MARK} raw".encode(), received_at=now)
        row = inbox.add(conn, project=BANK, channel=LINE, kind="hook", request=raw)
        inbox.mark(conn, row, InboxStatus.UNREADABLE, now=now, note=f"{MARK} unreadable")
        sent = Outgoing(
            id="bank-message",
            project=BANK,
            channel=LINE,
            client_id=CLIENT,
            chat=("whatsapp", "9"),
            account="a",
            text=f"{MARK} sent",
            created_at=now,
        )
        outgoing.end(conn, outgoing.add(conn, sent) or 0, OutgoingState.REJECTED, now, note=f"{MARK} note")

    store.write_now(put)
    contact = Contact(id="77001", name=f"{MARK} Contact", phones=(STRANGER,), deal_ids=("77002",))
    deal = Deal(id="77002", name=f"{MARK} Deal", is_open=True, contact_ids=("77001",))
    task = Task(id="77003", text=f"{MARK} Task", on=contact.ref)
    services.directory.fold(BANK, BANK_CRM, Changes(contacts=(contact,), deals=(deal,), tasks=(task,)), now)
    services.projects.reload_now()


@dataclass(slots=True)
class Visitors:
    """Who belongs to the shop, and one who belongs to the bank."""

    web: Web
    cookies: Mapping[str, str]
    csrf: Mapping[str, str]

    async def ask(self, one: Try) -> httpx.Response:
        headers = dict(one.more or {})
        match one.who:
            case "widget":
                headers |= {"X-Auth-Token": sign(claims()), "Origin": ORIGIN, "X-Requested-With": "XMLHttpRequest"}
                body: dict[str, Any] = {"json": dict(one.body or {})} if one.method in ("POST", "PUT") else {}
            case "nobody":
                body = {"data": dict(one.body or {})} if one.method == "POST" else {}
            case login:
                headers["cookie"] = f"hub_session={self.cookies[login]}"
                body = {"data": {"csrf": self.csrf[login], **(one.body or {})}} if one.method == "POST" else {}
        return await self.web.client.request(one.method, one.path, headers=headers, **body)


@pytest.fixture
async def visitors(make_services: Callable[..., Services]) -> AsyncIterator[Visitors]:
    services = make_services(public_url=HUB)
    try:
        set_up(services)
        connect(services)
        _fill_bank(services)
        now, life = services.clock.now(), LIFE
        cookies, csrf = {}, {}
        for login, project in (("admin", PROJECT), ("banker", BANK)):

            def open_session(conn: Connection, login: str = login, project: str = project) -> str:
                users.add_user(conn, login=login, password_hash="-", role="admin", now=now, projects=[project])
                return users.start_session(conn, login, now=now, lasts=life)

            cookies[login] = services.store.write_now(open_session)
            found = services.store.read_now(
                lambda conn, token=cookies[login]: users.find_session(conn, token, now)  # type: ignore[misc]
            )
            assert found is not None
            csrf[login] = found.csrf
        async with serving(services) as web:
            yield Visitors(web=web, cookies=cookies, csrf=csrf)
    finally:
        services.close()


def holdings(services: Services) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the bank, in every table that has projects or is reached through its client."""

    def read(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for table in TABLES:
            if "project" in table.c:
                rows = conn.execute(select(table).where(table.c.project == BANK).order_by(*table.primary_key))
            elif "interaction_id" in table.c:
                rows = conn.execute(select(table).where(table.c.interaction_id == CALL))
            else:
                continue
            found[table.name] = [tuple(row) for row in rows]
        return found

    return services.store.read_now(read)


async def test_nobody_of_one_project_reads_or_changes_another_through_any_route(visitors: Visitors) -> None:
    services = visitors.web.services
    before = holdings(services)
    assert sum(map(len, before.values())) > 8
    leaks, surprises = [], []
    for pattern, tries in TABLE.items():
        for one in tries:
            answer = await visitors.ask(one)
            where = f"{one.method} {one.path} as {one.who}: {answer.status_code}"
            if answer.status_code not in one.status:
                surprises.append(f"{where} {answer.text[:200]}")
            told = answer.text + " ".join(answer.headers.values())
            if MARK in told or LINE_SECRET in told or BANK_CRM_SECRET in told:
                leaks.append(f"{pattern}: {where}")
            now = holdings(services)
            if now != before:
                changed = [name for name in before if now[name] != before[name]]
                leaks.append(f"{where} changed {changed}")
                before = now
    assert leaks == []
    assert surprises == []


SEEN_BY_ITS_OWN = [
    f"/console/{BANK}/journal",
    f"/console/{BANK}/interactions/{CALL}",
    f"/console/{BANK}/clients/{CLIENT}",
    f"/console/{BANK}/attention",
    f"/setup/{BANK}",
]


@pytest.mark.parametrize("path", SEEN_BY_ITS_OWN)
async def test_its_own_people_see_the_mark(visitors: Visitors, path: str) -> None:
    """Without this the table above would prove nothing."""
    answer = await visitors.ask(Try(path=path, who="banker"))
    assert (
        MARK in (await visitors.ask(Try(path=str(answer.next_request.url.path), who="banker"))).text
        if (answer.next_request)
        else MARK in answer.text
    )
