"""An amoCRM account is connected in the browser, and hears that it was disconnected there (H12, H8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox, serve

from hub.clock import FakeClock
from hub.errors import ConfigurationError
from hub.runtime.services import Services
from hub.store import projects
from hub.store.projects import CrmConnection, Status
from hub.web import oauth
from tests.web.conftest import CRM, PROJECT, Web, serving, set_up

CALLBACK = "https://hub.example.net/oauth/amocrm/callback"


@pytest.fixture(scope="module")
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as (sandbox, address):
        sandbox.set_integration(redirect_uri=CALLBACK, disconnect_url="https://hub.example.net/oauth/amocrm/disconnect")
        sandbox.switch(auto_consent=True)
        yield sandbox, address


@dataclass(slots=True)
class Office:
    """The hub beside the CRM, and the administrator's browser between them."""

    web: Web
    sandbox: Sandbox
    address: str

    def connection(self) -> CrmConnection:
        services = self.web.services
        found = services.store.read_now(lambda conn: projects.find_connection(conn, services.cipher, PROJECT, CRM))
        assert found is not None
        return found

    async def consent(self, **changed: str) -> str:
        """Where the vendor's consent page sends the browser, as a path of the hub."""
        url = oauth.begin(self.web.services, PROJECT, CRM, return_to="/setup/crm?step=2")
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(url)
        parts = urlsplit(answer.headers["location"])
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return f"{parts.path}?{urlencode({**query, **changed})}"


@pytest.fixture
async def office(make_services: Callable[..., Services], amocrm: tuple[Sandbox, str]) -> AsyncIterator[Office]:
    sandbox, address = amocrm
    services = make_services(public_url="https://hub.example.net")
    try:
        set_up(services)
        settings: dict[str, Any] = {
            "client_id": sandbox.integration.client_id,
            "client_secret": sandbox.integration.client_secret,
            "consent_address": f"{address}/oauth",
            "is_loopback_allowed": True,
        }
        services.store.write_now(lambda conn: projects.change_connection(conn, services.cipher, PROJECT, CRM, settings))
        services.projects.reload_now()
        async with serving(services) as web:
            yield Office(web, sandbox, address)
    finally:
        services.close()


async def test_the_consent_connects_the_account_and_leads_back(office: Office) -> None:
    changed: list[bool] = []
    office.web.services.changed = lambda: changed.append(True)
    answer = await office.web.client.get(await office.consent())
    assert (answer.status_code, answer.headers["location"]) == (303, "/setup/crm?step=2")
    found = office.connection()
    assert found.status is Status.READY
    assert found.settings["address"] == office.address
    assert found.settings["client_secret"] == office.sandbox.integration.client_secret
    assert changed
    state, _ = await office.web.services.states.of(PROJECT, CRM).load()
    assert state["tokens"]["access"]


async def test_an_answer_works_once_and_a_new_consent_recovers(office: Office) -> None:
    path = await office.consent()
    assert (await office.web.client.get(path)).status_code == 303
    again = await office.web.client.get(path)
    assert again.status_code == 403
    assert "used already" in again.text
    assert (await office.web.client.get(await office.consent())).status_code == 303


async def test_a_used_answer_stays_used_after_a_restart(office: Office, make_services: Callable[..., Services]) -> None:
    path = await office.consent()
    assert (await office.web.client.get(path)).status_code == 303
    services = make_services(public_url="https://hub.example.net")
    try:
        async with serving(services) as web:
            assert (await web.client.get(path)).status_code == 403
    finally:
        services.close()


async def test_who_takes_too_long_begins_again(office: Office, clock: FakeClock) -> None:
    path = await office.consent()
    clock.advance(oauth.LIFE + timedelta(seconds=1))
    answer = await office.web.client.get(path)
    assert answer.status_code == 403
    assert "too long" in answer.text
    assert office.connection().status is Status.OFF


@pytest.mark.parametrize("state", ["", "x", "gAAAAA" + "A" * 60, "ї"])
async def test_a_state_that_is_not_ours_is_refused(office: Office, state: str) -> None:
    """Nobody may slip an account of theirs under a project (cross-site request forgery)."""
    answer = await office.web.client.get(await office.consent(state=state))
    assert answer.status_code == 403
    assert office.connection().status is Status.OFF


async def test_a_redirect_that_names_a_foreign_host_is_refused_and_shown(office: Office) -> None:
    """The code and the secret go only to the vendor's own hosts."""
    answer = await office.web.client.get(await office.consent(referer="evil.example"))
    assert answer.status_code == 403
    assert "not amoCRM" in answer.text
    assert "evil" not in answer.text
    assert office.connection().status is Status.OFF


async def test_a_refusal_of_the_administrator_is_shown(office: Office) -> None:
    answer = await office.web.client.get(await office.consent(code="", error="access_denied<script>"))
    assert answer.status_code == 400
    assert "access_denied" in answer.text
    assert "<script>" not in answer.text


async def test_another_vendors_answer_is_refused(office: Office) -> None:
    path = (await office.consent()).replace("/amocrm/", "/ringostat/")
    assert (await office.web.client.get(path)).status_code == 403


async def test_a_path_elsewhere_is_not_followed(office: Office) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "setup"):
        url = oauth.begin(office.web.services, PROJECT, CRM, return_to=elsewhere)
        async with httpx.AsyncClient() as browser:
            location = (await browser.get(url)).headers["location"]
        answer = await office.web.client.get(location.removeprefix("https://hub.example.net"))
        assert answer.headers["location"] == "/setup"


async def test_without_a_public_address_it_says_what_is_missing(office: Office) -> None:
    office.web.services.settings = office.web.services.settings.model_copy(update={"public_url": ""})
    with pytest.raises(ConfigurationError, match="HUB_PUBLIC_URL"):
        oauth.begin(office.web.services, PROJECT, CRM)


async def test_switching_off_in_the_crm_stops_the_connection(office: Office) -> None:
    await office.web.client.get(await office.consent())
    address = office.sandbox.disconnect()
    assert address is not None
    parts = urlsplit(address)
    answer = await office.web.client.get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 200
    assert office.connection().status is Status.NEEDS_CREDENTIALS
    assert (await office.web.client.get(await office.consent())).status_code == 303
    assert office.connection().status is Status.READY


async def test_a_forged_notice_changes_nothing(office: Office) -> None:
    await office.web.client.get(await office.consent())
    answer = await office.web.client.get(
        "/oauth/amocrm/disconnect",
        params={"account_id": "1", "client_uuid": office.sandbox.integration.client_id, "signature": "00" * 32},
    )
    assert answer.status_code == 403
    assert answer.json()["field"] == "signature"
    assert office.connection().status is Status.READY


async def test_a_vendor_without_such_a_notice_is_not_found(office: Office) -> None:
    assert (await office.web.client.get("/oauth/ringostat/disconnect")).status_code == 404
