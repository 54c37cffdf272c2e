"""Tokens per data centre: stored before use, renewed by one, few of them (reference 1, H8, H12)."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hub_zoho.config import ACCOUNTS, APIS, ZohoSettings
from hub_zoho.sink import ZohoSink
from pydantic import SecretStr, ValidationError

from hub.errors import AccessError, ConfigurationError, NeedsCredentials, Throttled, Unavailable
from hub.ports import HasOAuth, OAuthGrant

REDIRECT = "http://127.0.0.1:8000/oauth/zoho/callback"


def browser(office: Any, **values: Any) -> Any:
    """The office before anybody has connected it."""
    settings = office.context.settings.model_copy(update={"refresh_token": SecretStr(""), "api_address": "", **values})
    context = replace(office.context, settings=settings)
    return replace(office, context=context, session=office.sink.open(context))


async def consent(office: Any) -> OAuthGrant:
    """What a person's browser brings back."""
    office.sandbox.switch(auto_consent=True)
    answer = await office.context.http.get(office.sink.consent_url(office.context.settings, REDIRECT, "st4te"))
    query = {name: found[0] for name, found in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert query["state"] == "st4te"
    return OAuthGrant(code=query["code"], redirect_uri=REDIRECT, parameters=query)


def test_the_sink_is_connected_in_the_browser() -> None:
    """H12: the console asks for the ability, not for the name."""
    assert isinstance(ZohoSink(), HasOAuth)


@pytest.mark.parametrize("centre", sorted(ACCOUNTS))
def test_each_data_centre_has_its_own_consent_page(centre: str) -> None:
    settings = ZohoSettings.model_validate({"data_centre": centre, "client_id": "1000.A"})
    url = urlsplit(ZohoSink().consent_url(settings, REDIRECT, "s"))
    assert f"{url.scheme}://{url.netloc}" == ACCOUNTS[centre]
    query = {name: found[0] for name, found in parse_qs(url.query).items()}
    assert (query["access_type"], query["response_type"]) == ("offline", "code")
    assert "ZohoSearch.securesearch.READ" in query["scope"].split(",")
    assert settings.allows_api(APIS[centre])
    assert settings.allows_api(APIS[centre].replace("www", "sandbox"))
    assert settings.site.split("//")[1].startswith("crm.zoho")


def test_without_a_client_id_there_is_nothing_to_consent_to() -> None:
    with pytest.raises(ConfigurationError, match="client_id"):
        ZohoSink().consent_url(ZohoSettings(), REDIRECT, "s")


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "https://www.zohoapis.eu.evil.example", "http://www.zohoapis.eu", "https://zohoapis.eu"],
)
def test_tokens_go_to_zohos_hosts_only(address: str) -> None:
    """H8."""
    assert not ZohoSettings().allows_api(address)
    assert not ZohoSettings().allows_accounts(address)
    assert not ZohoSettings().allows_accounts("http://127.0.0.1:1")


def test_an_address_must_be_one() -> None:
    with pytest.raises(ValidationError, match="https://"):
        ZohoSettings(api_address="ftp://www.zohoapis.eu")


async def test_consent_exchange_and_first_request(office: Any) -> None:
    """The accounts server of the redirect is asked; addresses are learnt; tokens are stored."""
    office = browser(office)
    settings = await office.sink.exchange(office.context, await consent(office))
    assert (settings.accounts_address, settings.api_address) == (office.url, office.url)
    assert office.state.value["tokens"]["refresh"]
    context = replace(office.context, settings=settings)
    catalogue = await office.sink.open(context).connect()
    assert catalogue.account_name == "Nord Tea"


async def test_a_foreign_accounts_server_gets_no_secret(office: Any) -> None:
    office = browser(office)
    grant = await consent(office)
    foreign = replace(grant, parameters={**grant.parameters, "accounts-server": "https://accounts.evil.example"})
    office.sandbox.reset_stats()
    with pytest.raises(AccessError):
        await office.sink.exchange(office.context, foreign)
    assert office.asked() == []
    assert await office.sink.exchange(office.context, grant)


async def test_a_code_works_once_and_a_refusal_leaves_the_state_alone(office: Any) -> None:
    office = browser(office)
    grant = await consent(office)
    await office.sink.exchange(office.context, grant)
    before = office.state.value
    with pytest.raises(NeedsCredentials, match="invalid_code"):
        await office.sink.exchange(office.context, grant)
    with pytest.raises(NeedsCredentials, match="access_denied"):
        await office.sink.exchange(
            office.context, OAuthGrant(code="", redirect_uri=REDIRECT, parameters={"error": "access_denied"})
        )
    assert office.state.value == before


async def test_before_anybody_connected_every_request_asks_for_credentials(office: Any) -> None:
    with pytest.raises(NeedsCredentials, match="not connected"):
        await browser(office).session.catalogue()


async def test_many_at_once_renew_once_and_store_before_use(office: Any) -> None:
    """DESIGN 4: ten tokens in ten minutes is all that there are."""
    await office.session.catalogue()
    office.sandbox.advance(3700)
    office.state.value["tokens"]["expires_at"] = 0
    other = office.sink.open(office.context)
    fresh = office.sink.open(office.context)
    before = office.sandbox.stats()["refreshes"]
    await asyncio.gather(*(session.catalogue() for session in (other, fresh) for _ in range(3)))
    assert office.sandbox.stats()["refreshes"] == before + 1
    access = next(iter(reversed(office.sandbox.oauth.access)))
    assert office.state.value["tokens"]["access"] == access


async def test_a_token_that_died_early_is_renewed_once_and_the_request_repeated(office: Any) -> None:
    """The sixteenth token kills the oldest: a 401 while we think it lives."""
    await office.session.catalogue()
    office.sandbox.oauth.access.clear()
    assert (await office.session.catalogue()).account_name == "Nord Tea"


async def test_a_revoked_connection_asks_for_credentials_and_a_new_token_mends_it(office: Any) -> None:
    await office.session.catalogue()
    office.sandbox.revoke()
    with pytest.raises(NeedsCredentials, match="invalid_code"):
        await office.session.catalogue()
    mended = office.with_settings(refresh_token=SecretStr(office.sandbox.refresh_token()))
    assert (await mended.session.catalogue()).account_name == "Nord Tea"


async def test_a_missing_scope_is_told_and_costs_no_token(office: Any) -> None:
    token = office.sandbox.refresh_token(scopes=("ZohoCRM.modules.ALL",))
    limited = office.with_settings(refresh_token=SecretStr(token))
    with pytest.raises(NeedsCredentials, match="scope"):
        await limited.session.catalogue()
    assert office.sandbox.stats()["refreshes"] == 1


async def test_too_many_tokens_are_waited_for(office: Any) -> None:
    """1: "Access Denied" with 200 means slow down, not that access is denied."""
    token = office.context.settings.refresh_token.get_secret_value()
    office.sandbox.oauth._refreshed[token] = deque(datetime.now(UTC).timestamp() for _ in range(10))
    with pytest.raises(Throttled) as caught:
        await office.session.catalogue()
    assert caught.value.retry_after is not None
    office.sandbox.advance(601)
    assert (await office.session.catalogue()).account_name == "Nord Tea"


async def test_a_token_that_lives_is_used_while_the_accounts_server_is_down(office: Any) -> None:
    await office.session.catalogue()
    office.state.value["tokens"]["expires_at"] = (datetime.now(UTC) + timedelta(minutes=5)).timestamp()
    office.sandbox.fail_next("POST", "/oauth/v2/token", kind="down", count=99)
    office.sandbox.reset_stats()
    assert (await office.sink.open(office.context).catalogue()).account_name == "Nord Tea"
    assert len(office.asked("POST", "/oauth/v2/token")) == 1
    office.state.value["tokens"]["expires_at"] = 0
    with pytest.raises(Unavailable) as caught:
        await office.sink.open(office.context).apply([office.contact()])
    assert not caught.value.maybe_applied
    office.sandbox.clear_faults()
    assert (await office.sink.open(office.context).catalogue()).account_name == "Nord Tea"


async def test_secrets_are_never_shown(office: Any) -> None:
    """H8."""
    await office.session.catalogue()
    tokens = office.state.value["tokens"]
    shown = repr(office.context.settings) + repr(office.session.__dict__)
    assert tokens["access"] not in shown
    assert tokens["refresh"] not in shown
    assert office.context.settings.client_secret.get_secret_value() not in shown
