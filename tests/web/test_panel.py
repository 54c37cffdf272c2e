"""The card as a page in another CRM's frame, under a signed short link (U1, H8)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from hub.clock import FakeClock
from hub.core.interaction import (
    Attribution,
    Call,
    Destination,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    Leg,
    ProjectId,
)
from hub.core.phone import Phone, phone_text
from hub.core.records import Catalogue, Contact, CrmUser, EmployeeId, UserId
from hub.language import translator
from hub.ports import Changes
from hub.runtime.services import Services
from hub.store import bindings, clients, interactions, projects
from hub.store.bindings import Binding
from hub.store.projects import Status
from hub.web.panel.link import LIFE, find_panel, links_to_paste
from tests.web.conftest import KNOWN, NOW, PROJECT, Web, serving, set_up

ZOHO = "zoho"
#: as people read it
SHOWN = phone_text(KNOWN)
HOSTILE = "<script>document.title='owned'</script> \u202egnp.exe " + "Я" * 10_000
USERS = (
    CrmUser(id=UserId("700001"), name="Olena", email="olena@shop.example"),
    CrmUser(id=UserId("700002"), name="Petro", email="petro@shop.example"),
)


def connect_zoho(services: Services, *, name: str = HOSTILE) -> None:
    """A Zoho account whose contact has called."""
    store, now = services.store, services.clock.now()
    settings = {"data_centre": "eu"}

    def put(conn: Any) -> None:
        projects.add_connection(
            conn, services.cipher, project=PROJECT, name=ZOHO, sink="zoho", settings=settings, now=now, secret="s" * 30
        )
        projects.set_catalogue(conn, PROJECT, ZOHO, Catalogue(users=USERS), now)
        projects.set_status(conn, PROJECT, ZOHO, Status.READY, now=now)
        found = [
            Binding(kind="employee", name=one, value=user.id)
            for one, user in zip(("olena", "petro"), USERS, strict=True)
        ]
        bindings.put(conn, PROJECT, ZOHO, found)
        identity = Identity(phones=(KNOWN,), name=name)
        client = clients.resolve(conn, PROJECT, identity, clients.JoinRules(), now=now).client_id
        interactions.put(conn, call(name), client_id=client, received_at=now, decide_at=None)

    store.write_now(put)
    contact = Contact(id="5001", name=name, phones=(KNOWN,), responsible=EmployeeId("@700001"))
    services.directory.fold(PROJECT, ZOHO, Changes(contacts=(contact,)), now)
    services.projects.reload_now()


def call(name: str) -> Call:
    return Call(
        id=InteractionId("i1"),
        project=ProjectId(PROJECT),
        channel="phone",
        source="ringostat",
        external_id="ua-1",
        started_at=NOW - timedelta(hours=1),
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED,
        client=Identity(phones=(KNOWN,), name=name),
        legs=(
            Leg(destination=Destination(login="examplecom_petro"), is_answered=False),
            Leg(
                destination=Destination(login="examplecom_olena"),
                is_answered=True,
                talk_seconds=62,
                recording="https://records.example/1.mp3",
            ),
        ),
        talk_seconds=62,
        # as with most clients, not every mark came
        attribution=Attribution(utm_source="google", utm_campaign="spring"),
    )


@pytest.fixture
async def web(make_services: Callable[..., Services]) -> AsyncIterator[Web]:
    services = make_services(public_url="https://hub.example.net")
    try:
        set_up(services)
        connect_zoho(services)
        async with serving(services) as found:
            yield found
    finally:
        services.close()


def pasted(web: Web, entity: str = "Contacts") -> str:
    """What the administrator pasted for a kind of card, without the host."""
    panel = find_panel(web.services, PROJECT, ZOHO)
    assert panel is not None
    return dict(links_to_paste(web.services, panel))[entity].removeprefix("https://hub.example.net")


def filled(link: str, id: str = "5001", user: str = "olena@shop.example") -> str:
    """The link as the CRM fills it in."""
    return link.replace("${Contacts.Contact Id}", id).replace("${User.Email}", user)


async def opened(web: Web, **filled_in: str) -> str:
    answer = await web.client.get(filled(pasted(web), **filled_in))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_the_pasted_link_leads_to_the_card_in_the_crms_frame_alone(web: Web) -> None:
    location = await opened(web)
    answer = await web.client.get(location)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.endswith("frame-ancestors https://crm.zoho.eu")
    assert re.findall(r'<span class="panel-tag">(.*?)</span>', answer.text)[-2:] == ["google", "spring"], "R7"
    assert "script-src" not in policy
    assert "x-frame-options" not in answer.headers
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert SHOWN in answer.text
    assert "https://records.example/1.mp3" in answer.text
    assert "Olena" in answer.text


async def test_hostile_names_are_shown_as_text(web: Web) -> None:
    text = (await web.client.get(await opened(web))).text
    assert "<script" not in text
    assert "&lt;script&gt;" in text


async def test_the_page_speaks_the_readers_language(web: Web) -> None:
    for language, word in (("ru", "Ответственный"), ("uk", "Відповідальний"), ("en", "Responsible")):
        answer = await web.client.get(filled(pasted(web)) + f"&lang={language}")
        assert word in (await web.client.get(answer.headers["location"])).text


async def test_a_link_ends_and_the_pasted_one_opens_the_card_again(web: Web, clock: FakeClock) -> None:
    location = await opened(web)
    clock.advance(LIFE)
    ended = await web.client.get(location)
    assert ended.status_code == 403
    assert SHOWN not in ended.text
    assert (await web.client.get(await opened(web))).status_code == 200


async def test_nothing_of_a_signed_link_can_be_changed(web: Web) -> None:
    """Record, reader, end, project and connection: all are under the signature."""
    location = await opened(web, user="petro@shop.example")
    parts = urlsplit(location)
    told = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    assert told["as"] == "petro"
    changed = [
        (parts.path, {**told, "as": "olena"}),
        (parts.path, {**told, "as": ""}),
        (parts.path, {**told, "until": str(int(told["until"]) + 3600)}),
        (parts.path, {**told, "signature": ""}),
        (parts.path, {**told, "signature": "ї" * 40}),
        (parts.path.replace("/5001", "/5002"), told),
        (parts.path.replace("/Contacts/", "/Leads/"), told),
        (parts.path.replace(f"/{ZOHO}/", "/amo/"), told),
        (parts.path.replace(f"/{PROJECT}/", "/other/"), told),
    ]
    for path, query in changed:
        answer = await web.client.get(path, params=query)
        assert (answer.status_code, SHOWN in answer.text) == (403, False), (path, query)


async def test_a_wrong_key_learns_nothing_and_guessing_is_slowed_down(web: Web) -> None:
    good = filled(pasted(web))
    bad = good.replace("key=", "key=0")
    known, unknown = await web.client.get(bad), await web.client.get(bad.replace(f"/{PROJECT}/", "/nobody/"))
    assert (known.status_code, unknown.status_code) == (403, 403)
    assert known.text == unknown.text
    statuses = {(await web.client.get(bad)).status_code for _ in range(40)}
    assert 429 in statuses
    assert (await web.client.get(good)).status_code == 303


async def test_every_refusal_is_the_same_whatever_there_is(web: Web) -> None:
    """H8: neither the text nor who may frame it tells whether there is such a project or connection."""
    tail = "open?key=guess&entity=Contacts&id=5001"
    signed = f"Contacts/5001?as=&until={2**33}&signature=guess"
    for path in (tail, signed):
        answers = [
            await web.client.get(f"/panel/{place}/{path}")
            for place in (f"{PROJECT}/{ZOHO}", f"{PROJECT}/amo", f"{PROJECT}/none", "none/none")
        ]
        told = [(one.status_code, one.text, sorted(one.headers.items())) for one in answers]
        assert told[1:] == told[:-1], path
        assert answers[0].status_code == 403
        # a person whose link has ended reads so in the CRM's frame
        assert answers[0].headers["content-security-policy"].endswith("frame-ancestors *")


async def test_a_manager_sees_only_their_own_clients_history(web: Web) -> None:
    """W4: whoever the CRM names; nobody known sees none of it."""
    for user, sees in (("olena@shop.example", True), ("petro@shop.example", False), ("", False), ("x@y.z", False)):
        answer = await web.client.get(await opened(web, user=user))
        assert (user, "records.example" in answer.text) == (user, sees)
        assert answer.status_code == 200


async def test_a_card_that_is_none_says_so(web: Web) -> None:
    for id in ("", "abc", "5001/../1", "9" * 30 + "x"):
        answer = await web.client.get(filled(pasted(web), id=id))
        assert answer.status_code == 404
    unknown = await web.client.get(await opened(web, id="424242"))
    assert unknown.status_code == 200
    assert SHOWN not in unknown.text


async def test_a_client_who_never_turned_to_the_company_is_shown_and_that_is_said(web: Web) -> None:
    contact = Contact(
        id="5002", name="Myron Levko", phones=(Phone("+380671112299"),), responsible=EmployeeId("@700001")
    )
    web.services.directory.fold(PROJECT, ZOHO, Changes(contacts=(contact,)), web.services.clock.now())
    page = await web.client.get(await opened(web, id="5002"))
    assert "Myron Levko" in page.text
    assert translator("ru")("panel.unknown") in page.text


def test_the_command_prints_what_to_paste(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """H12."""
    from hub.cli import app

    settings = web.services.settings
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(settings.data_directory))
    monkeypatch.setenv("HUB_PUBLIC_URL", settings.public_url)
    told = CliRunner().invoke(app, ["widget", "link", PROJECT, ZOHO])
    assert told.exit_code == 0, told.output
    assert f"Contacts: https://hub.example.net{pasted(web)}" in told.output
    refused = CliRunner().invoke(app, ["widget", "link", PROJECT, "amo"])
    assert refused.exit_code != 0
