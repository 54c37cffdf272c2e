"""No token and no link of one project reads or changes anything of another: every route there is (H8)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from starlette.routing import BaseRoute, Mount, Route

from hub.core.interaction import Direction, Identity, InteractionId, Message, ProjectId
from hub.core.phone import Phone, phone_text
from hub.core.records import Catalogue, Contact, EmployeeId, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.runtime.services import Services
from hub.store import bindings, clients, interactions, policies, projects, schema
from hub.store.bindings import Binding
from hub.store.projects import Status
from hub.web.panel.link import find_panel, sign
from tests.web.conftest import CRM, NOW, PROJECT, Web
from tests.web.test_panel import ZOHO, connect_zoho
from tests.web.widget_page import SETTINGS, claims, open_page
from tests.web.widget_page import sign as sign_token

RIVAL = "rival"
#: whatever of the rival would give it away
PHONE, NAME, WORDS = "+380507777777", "Secretive Rival", "our secret price"


def add_rival(services: Services) -> dict[str, str]:
    """Another project in the same hub, with an account, a client, a message, a task; the names of its things."""
    store, now = services.store, NOW
    identity = Identity(phones=(Phone(PHONE),), name=NAME)
    policy = '[project]\nregion = "UA"\n\n[[employees]]\nid = "olena"\nname = "Olena of the rival"\nroles = ["head"]\n'

    def put(conn: Any) -> dict[str, str]:
        projects.add_project(conn, RIVAL, now=now, mode="live", managed="console")
        policies.publish(conn, RIVAL, text=policy, author="test", based_on=None, now=now)
        projects.add_channel(
            conn, services.cipher, project=RIVAL, name="phone", source="ringostat", settings={}, now=now
        )
        theirs = {**SETTINGS, "address": "https://rival.amocrm.ru", "account_id": "777", "client_id": "rivals-own"}
        for name, sink, settings in ((CRM, "amocrm", theirs), (ZOHO, "zoho", {"data_centre": "eu"})):
            projects.add_connection(
                conn, services.cipher, project=RIVAL, name=name, sink=sink, settings=settings, now=now
            )
            projects.set_catalogue(conn, RIVAL, name, Catalogue(), now)
            projects.set_status(conn, RIVAL, name, Status.READY, now=now)
            bindings.put(conn, RIVAL, name, [Binding(kind="employee", name="olena", value="1")])
        client = clients.resolve(conn, RIVAL, identity, clients.JoinRules(), now=now).client_id
        message = Message(
            id=InteractionId("rival-1"),
            project=ProjectId(RIVAL),
            channel="phone",
            source="ringostat",
            external_id="m1",
            started_at=now,
            direction=Direction.INBOUND,
            client=identity,
            text=WORDS,
        )
        interactions.put(conn, message, client_id=client, received_at=now, decide_at=now)
        return {"client": client, "id": message.id, "key": f"{client}.phone", "task": "9009", "entity": "contact"}

    names = store.write_now(put)
    contact = Contact(id="9001", name=NAME, phones=(Phone(PHONE),), responsible=EmployeeId("@1"))
    task = Task(id="9009", text=WORDS, responsible=EmployeeId("@1"), on=RecordRef(kind=RecordKind.CONTACT, id="9001"))
    for name in (CRM, ZOHO):
        services.directory.fold(RIVAL, name, Changes(contacts=(contact,), tasks=(task,)), now)
    services.projects.reload_now()
    return names


def routes_under(found: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    """Every route with its whole path."""
    for one in found:
        if isinstance(one, Mount):
            yield from routes_under(list(one.routes), prefix + one.path)
        elif isinstance(one, Route):
            yield prefix + one.path, one


def fingerprint(services: Services) -> Any:
    """What the rival has: steps, versions of the policy, work, events, preferences."""

    def read(conn: Any) -> Any:
        tables = (schema.step, schema.policy_version, schema.work, schema.event)
        return [
            conn.execute(select(func.count()).select_from(one).where(one.c.project == RIVAL)).scalar_one()
            for one in tables
        ]

    return services.store.read_now(read)


async def test_no_token_of_one_project_reads_or_changes_anything_of_another(
    make_services: Callable[..., Services],
) -> None:
    async with open_page(make_services) as (web, page):
        # an administrator of one account, so that no right stands in the way
        page.token = sign_token(claims(is_admin=True))
        names, before = add_rival(web.services), fingerprint(web.services)
        body = {
            "request": str(uuid.uuid4()),
            "interaction": names["id"],
            "what": ["contact", "deal"],
            "due": (NOW + timedelta(days=1)).isoformat(),
            "phone": PHONE,
        }
        tried = 0
        for path, found in routes_under([one for one in web.app.routes if "/widget" in getattr(one, "path", "")]):
            for part in found.param_convertors:
                path = path.replace(f"{{{part}}}", names[part])
            for method in ("GET", "POST", "PUT"):
                if path.endswith("/live"):
                    continue
                sent = None if method == "GET" else body | ({"employees": []} if path.endswith("/settings") else {})
                answer = await page.ask(
                    method, path.removeprefix("/widget/api"), sent, entity="contact", id="9001", project=RIVAL
                )
                tried += 1
                told = answer.text
                assert not any(secret in told for secret in (PHONE, NAME, WORDS, names["client"])), (method, path)
                if found.param_convertors:
                    assert answer.status_code in (403, 404, 405, 409, 422) or told == "{}", (method, path, told)
        assert tried > 30
        assert fingerprint(web.services) == before


async def test_the_rivals_token_opens_its_own_project_with_the_same_names(
    make_services: Callable[..., Services],
) -> None:
    """The same user id and employee in both: the account that signed decides."""
    async with open_page(make_services) as (web, page):
        names = add_rival(web.services)
        mine = page.token
        page.origin = "https://rival.amocrm.ru"
        page.token = sign_token(
            claims(client_uuid="rivals-own", account_id=777, subdomain="rival", iss="https://rival.amocrm.ru")
        )
        told = (await page.post("/session")).json()
        assert told["employee"]["name"] == "Olena of the rival"
        card = (await page.get("/card", entity="contact", id="9001")).json()
        assert card["client"]["id"] == names["client"]
        # a page of the one account does not use a token of the other
        page.token = mine
        assert (await page.post("/session")).json()["error"]["code"] == "other_origin"


async def test_no_panel_link_of_one_project_opens_a_card_of_another(make_services: Callable[..., Services]) -> None:
    async with open_page(make_services) as (web, _):
        connect_zoho(web.services)
        add_rival(web.services)
        own, rival = find_panel(web.services, PROJECT, ZOHO), find_panel(web.services, RIVAL, ZOHO)
        assert own is not None
        assert rival is not None
        assert own.key(web.services) != rival.key(web.services)
        signed = sign(web.services, own, "Contacts", "9001", EmployeeId("olena"), "en")
        links = {
            "/panel/{project}/{connection}/open": f"/panel/{RIVAL}/{ZOHO}/open"
            f"?key={own.key(web.services)}&entity=Contacts&id=9001&user=olena",
            "/panel/{project}/{connection}/{entity}/{id}": signed.replace(f"/{PROJECT}/", f"/{RIVAL}/"),
        }
        known = {
            path for path, _ in routes_under([one for one in web.app.routes if "/panel" in getattr(one, "path", "")])
        }
        assert known == set(links)
        for link in links.values():
            await refused(web, link)
        # the card of its own project with that number is another one, and shows nothing of the rival's
        mine = await web.client.get(signed)
        assert NAME not in mine.text


async def refused(web: Web, link: str) -> None:
    answer = await web.client.get(link)
    assert answer.status_code == 403
    assert not any(secret in answer.text for secret in (PHONE, phone_text(PHONE), NAME, WORDS))
