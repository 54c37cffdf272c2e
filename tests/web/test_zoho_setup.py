"""Zoho CRM is set up like any other: the console asks for abilities, never for the vendor's name (H12, H8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hub_zoho.config import ZohoSettings
from hub_zoho.sandbox import Sandbox, serve

from hub.commands.asking import ask_settings
from hub.runtime import setup
from hub.runtime.services import Services
from hub.store import projects
from hub.store.projects import Status
from hub.web import oauth
from tests.web.conftest import PROJECT, Web, serving, set_up

CALLBACK = "https://hub.example.net/oauth/zoho/callback"
NAME = "zoho"


@pytest.fixture(scope="module")
def zoho() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as (sandbox, address):
        sandbox.oauth.credentials.redirect_uri = CALLBACK
        sandbox.switch(auto_consent=True)
        yield sandbox, address


@pytest.fixture
async def web(make_services: Callable[..., Services], zoho: tuple[Sandbox, str]) -> AsyncIterator[Web]:
    sandbox, address = zoho
    services = make_services(public_url="https://hub.example.net")
    try:
        set_up(services)
        values: dict[str, Any] = {
            "client_id": sandbox.oauth.credentials.client_id,
            "client_secret": sandbox.oauth.credentials.client_secret,
            "accounts_address": address,
            "is_loopback_allowed": True,
        }
        await setup.add_connection(services, PROJECT, name=NAME, sink="zoho", values=values)
        async with serving(services) as served:
            yield served
    finally:
        services.close()


async def test_the_consent_connects_the_organisation_and_the_setup_reads_it(
    web: Web, zoho: tuple[Sandbox, str]
) -> None:
    """H12: consent in the browser, addresses learnt, tokens stored encrypted, users and pipelines by name."""
    services, (sandbox, address) = web.services, zoho
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(oauth.begin(services, PROJECT, NAME, return_to="/setup/crm"))
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
    back = await web.client.get(f"{parts.path}?{parts.query}")
    assert (back.status_code, back.headers["location"]) == (303, "/setup/crm")
    found = services.store.read_now(lambda conn: projects.find_connection(conn, services.cipher, PROJECT, NAME))
    assert found is not None
    assert found.status is Status.READY
    assert (found.settings["api_address"], found.settings["accounts_address"]) == (address, address)
    connected = await setup.connect(services, PROJECT, NAME)
    assert [user.name for user in connected.catalogue.users if user.is_active] == [
        "Iryna Bilova",
        "Oleh Hromov",
        "Anna Kotova",
    ]
    # the hub's own address for the vendor's notifications is subscribed on the way
    (channel,) = sandbox.world.channels.values()
    assert channel.notify_url.startswith("https://hub.example.net/crm/")


def test_the_command_line_asks_for_what_has_no_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """H12: data centre, ID and secret; never what the consent fills in."""
    asked = iter(["eu", "1000.CLIENT", "n"])
    monkeypatch.setattr("builtins.input", lambda *_: next(asked))
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "s3cret")
    values = ask_settings(ZohoSettings)
    assert next(asked, None) is None
    assert (values["data_centre"], values["client_id"]) == ("eu", "1000.CLIENT")
    assert values["client_secret"] == values["refresh_token"] == "s3cret"
    assert ZohoSettings.model_validate(values).accounts == "https://accounts.zoho.eu"
    shown = capsys.readouterr().out
    assert "Data centre" in shown
    assert "s3cret" not in shown
