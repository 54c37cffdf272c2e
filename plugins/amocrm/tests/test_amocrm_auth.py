"""Tokens: traded, rotated one at a time, stored before use, followed to a new address, never shown (H8, H12)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hub_amocrm.auth import Credentials, Tokens
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.sandbox.config import CLIENT_ID, CLIENT_SECRET
from pydantic import SecretStr

from hub.errors import AccessError, NeedsCredentials, Unavailable
from hub.ports import HasOAuth, HearsDisconnect, OAuthGrant, Sink

REDIRECT = "http://127.0.0.1:8000/oauth/amocrm/callback"


class MovingClock:
    """The machine's time plus what a test has added, to go along with the sandbox's."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        return self.now().timestamp()


class Browser:
    """The administrator's way through the consent page, and an office connected by it."""

    def __init__(self, office: Any) -> None:
        self.clock = MovingClock()
        self.sandbox = office.sandbox
        settings = AmoCrmSettings(
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            consent_address=f"{office.url}/oauth",
            is_loopback_allowed=True,
        )
        context = replace(office.context, settings=settings, clock=self.clock)
        self.office = replace(office, context=context)

    async def consent(self) -> OAuthGrant:
        self.sandbox.switch(auto_consent=True)
        url = self.office.sink.consent_url(self.office.context.settings, REDIRECT, "st4te")
        answer = await self.office.context.http.get(url)
        self.sandbox.switch(auto_consent=False)
        query = {name: found[0] for name, found in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        return OAuthGrant(code=query["code"], redirect_uri=REDIRECT, parameters=query)

    async def connect(self) -> Any:
        settings = await self.office.sink.exchange(self.office.context, await self.consent())
        context = replace(self.office.context, settings=settings)
        return replace(self.office, context=context, session=self.office.sink.open(context))

    def advance(self, by: timedelta) -> None:
        self.clock.offset += by
        self.sandbox.advance(by.total_seconds())


@pytest.fixture
def browser(office: Any) -> Browser:
    return Browser(office)


def refreshes(office: Any) -> int:
    return len(office.asked("POST", "/oauth2/access_token"))


def test_the_sink_offers_what_the_hub_asks_for(office: Any) -> None:
    assert isinstance(office.sink, Sink)
    assert isinstance(office.sink, HasOAuth)
    assert isinstance(office.sink, HearsDisconnect)


async def test_an_account_is_connected_in_the_browser(browser: Browser, office: Any) -> None:
    """H12: the account's address and id are learnt, nobody types them."""
    connected = await browser.connect()
    assert connected.context.settings.address == office.url
    assert connected.context.settings.account_id == "31500001"
    assert (await connected.session.connect()).account_name == "Nord Tea"


REFERERS = ["evil.example", "amocrm.ru.evil.example", "amocrm.ru", "", "nordtea.amocrm.ru@evil.example"]


@pytest.mark.parametrize("referer", REFERERS)
async def test_a_redirect_that_names_a_foreign_host_gets_no_token(browser: Browser, referer: str) -> None:
    grant = await browser.consent()
    foreign = replace(grant, parameters={**grant.parameters, "referer": referer})
    with pytest.raises(AccessError):
        await browser.office.sink.exchange(browser.office.context, foreign)
    await browser.office.sink.exchange(browser.office.context, grant)


async def test_a_sandbox_is_allowed_only_by_explicit_setting(browser: Browser) -> None:
    strict = browser.office.context.settings.model_copy(update={"is_loopback_allowed": False})
    grant = await browser.consent()
    with pytest.raises(AccessError):
        await browser.office.sink.exchange(replace(browser.office.context, settings=strict), grant)
    assert strict.allows_host("nordtea.amocrm.ru")
    assert strict.allows_host("nordtea.kommo.com")


async def test_a_code_works_once_and_a_new_consent_recovers(browser: Browser) -> None:
    grant = await browser.consent()
    await browser.office.sink.exchange(browser.office.context, grant)
    with pytest.raises(NeedsCredentials):
        await browser.office.sink.exchange(browser.office.context, grant)
    await browser.connect()


async def test_tokens_are_renewed_with_twelve_hours_left(browser: Browser) -> None:
    """DESIGN 4: a refresh lost in a crash leaves time."""
    connected = await browser.connect()
    browser.sandbox.reset_stats()
    browser.advance(timedelta(hours=11))
    await connected.session.catalogue()
    assert refreshes(connected) == 0
    browser.advance(timedelta(hours=2))
    await connected.session.catalogue()
    assert refreshes(connected) == 1


async def test_many_requests_and_processes_refresh_once(browser: Browser) -> None:
    """Rotation: the second refresh with one token would end the connection."""
    connected = await browser.connect()
    other = connected.sink.open(connected.context)
    await asyncio.gather(connected.session.catalogue(), other.catalogue())
    browser.sandbox.reset_stats()
    browser.advance(timedelta(hours=25))
    await asyncio.gather(*(session.catalogue() for session in (connected.session, other) for _ in range(4)))
    assert refreshes(connected) == 1


async def test_a_pair_is_stored_before_it_is_used(browser: Browser) -> None:
    connected = await browser.connect()
    await connected.session.catalogue()
    browser.advance(timedelta(hours=13))
    used: list[str] = []

    async def watch(request: httpx.Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token:
            used.append(token)
            assert any(saved.get("tokens", {}).get("access") == token for saved in connected.state.saves)

    connected.context.http.event_hooks["request"] = [watch]
    await connected.session.catalogue()
    connected.context.http.event_hooks["request"] = []
    assert set(used) == {connected.state.value["tokens"]["access"]}


async def test_a_failed_refresh_is_met_by_the_token_that_still_lives(browser: Browser) -> None:
    connected = await browser.connect()
    await connected.session.catalogue()
    browser.advance(timedelta(hours=13))
    browser.sandbox.reset_stats()
    browser.sandbox.fail_next("POST", "/oauth2/access_token", status=502)
    catalogue = await connected.session.catalogue()
    assert refreshes(connected) == 1
    assert any("could not be renewed" in warning for warning in catalogue.warnings)
    browser.advance(timedelta(minutes=6))
    catalogue = await connected.session.catalogue()
    assert refreshes(connected) == 2
    assert not any("could not be renewed" in warning for warning in catalogue.warnings)


async def test_a_write_that_waits_for_its_token_is_not_in_doubt(browser: Browser) -> None:
    connected = await browser.connect()
    await connected.session.catalogue()
    browser.advance(timedelta(hours=25))
    browser.sandbox.fail_next("POST", "/oauth2/access_token", kind="disconnect", applied=False)
    write = connected.contact()
    with pytest.raises(Unavailable) as err:
        await connected.session.apply([write])
    assert not err.value.maybe_applied
    assert set(await connected.session.apply([write])) == {write.key}


async def test_a_revoked_integration_needs_credentials_and_a_new_consent_recovers(browser: Browser) -> None:
    connected = await browser.connect()
    await connected.session.catalogue()
    browser.sandbox.disconnect()
    write = connected.contact()
    with pytest.raises(NeedsCredentials):
        await connected.session.apply([write])
    again = await browser.connect()
    assert set(await again.session.apply([write])) == {write.key}


async def test_a_new_consent_is_noticed_by_a_session_that_is_open(browser: Browser) -> None:
    connected = await browser.connect()
    await connected.session.catalogue()
    browser.sandbox.disconnect()
    await browser.connect()
    await connected.session.catalogue()


async def test_a_renamed_account_is_followed(browser: Browser) -> None:
    """4.6: the old name answers 401; the tokens stay good at the new one, after a restart too."""
    connected = await browser.connect()
    await connected.session.catalogue()
    new_host = f"localhost:{urlsplit(connected.url).port}"
    browser.sandbox.switch(moved_to=new_host)
    write = connected.contact()
    assert set(await connected.session.apply([write])) == {write.key}
    restarted = connected.sink.open(connected.context)
    assert (await restarted.catalogue()).url == f"http://{new_host}"
    browser.sandbox.switch(moved_to=None)


async def test_a_long_lived_token_needs_no_refresh_and_ends_for_good(office: Any) -> None:
    await office.session.catalogue()
    office.sandbox.disconnect()
    with pytest.raises(NeedsCredentials):
        await office.session.catalogue()
    again = office.with_settings(long_lived_token=SecretStr(office.sandbox.long_lived_token()))
    await again.session.catalogue()


@pytest.mark.parametrize(
    "address",
    [
        "http://nordtea.amocrm.ru",
        "https://nordtea.amocrm.ru.example",
        "https://amocrm.ru",
        "https://nordtea.amocrm.ru@example.com",
        "http://10.0.0.1",
        "http://127.0.0.1:9",
    ],
)
async def test_a_typed_address_that_is_not_the_vendors_gets_no_token(office: Any, address: str) -> None:
    """H8: neither a stranger's host, nor the vendor's without TLS, nor this machine unless it is allowed."""
    strange = office.with_settings(address=address, is_loopback_allowed=False)
    with pytest.raises(NeedsCredentials, match="is not amoCRM's"):
        await strange.session.connect()


async def test_without_a_connection_nothing_is_sent(browser: Browser) -> None:
    session = browser.office.sink.open(browser.office.context)
    browser.sandbox.reset_stats()
    with pytest.raises(NeedsCredentials):
        await session.catalogue()
    assert browser.office.asked() == []


async def test_no_token_and_no_secret_is_ever_shown(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """H8: neither in a log nor in a repr, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    connected = await browser.connect()
    browser.advance(timedelta(hours=13))
    browser.sandbox.fail_next("POST", "/oauth2/access_token", status=502)
    await connected.session.catalogue()
    browser.sandbox.disconnect()
    with pytest.raises(NeedsCredentials) as err:
        await connected.session.catalogue()
    tokens = Tokens.from_state(connected.state.value["tokens"])
    shown = "\n".join((caplog.text, repr(err.value), repr(tokens), repr(connected.context.settings)))
    shown += repr(Credentials(connected.context, connected.context.settings))
    for secret in (tokens.access, tokens.refresh, CLIENT_SECRET):
        assert secret not in shown


async def test_the_vendors_word_that_we_were_switched_off_is_signed(browser: Browser) -> None:
    connected = await browser.connect()
    browser.sandbox.set_integration(disconnect_url="http://127.0.0.1:1/gone")
    address = browser.sandbox.disconnect()
    assert address is not None
    query = {name: found[0] for name, found in parse_qs(urlsplit(address).query).items()}
    settings = connected.context.settings
    assert connected.sink.is_disconnected(settings, query)
    assert not connected.sink.is_disconnected(settings, {**query, "account_id": "1"})
    assert not connected.sink.is_disconnected(settings, {**query, "signature": "ff"})
    browser.sandbox.set_integration(disconnect_url=None)
