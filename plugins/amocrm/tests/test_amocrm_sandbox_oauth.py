"""Consent and tokens of the amoCRM sandbox (reference 4, 23: OAuth)."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox, serve
from joserfc import jwt
from joserfc.jwk import OctKey

HOUR = 3600

#: Loopback is plain HTTP: a context without certificates spares each client their loading.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, httpx.Client]]:
    with serve(Sandbox()) as (sandbox, url), httpx.Client(base_url=url, trust_env=False, verify=PLAIN) as client:
        yield sandbox, client


@pytest.fixture
def sandbox(served: tuple[Sandbox, httpx.Client]) -> Sandbox:
    served[0].reset()
    return served[0]


@pytest.fixture
def client(served: tuple[Sandbox, httpx.Client], sandbox: Sandbox) -> httpx.Client:
    return served[1]


def ask_token(client: httpx.Client, sandbox: Sandbox, **values: str) -> httpx.Response:
    integration = sandbox.integration
    body = {
        "client_id": integration.client_id,
        "client_secret": integration.client_secret,
        "redirect_uri": integration.redirect_uri,
    }
    return client.post("/oauth2/access_token", json=body | values)


def exchange(client: httpx.Client, sandbox: Sandbox, code: str) -> httpx.Response:
    return ask_token(client, sandbox, grant_type="authorization_code", code=code)


def refresh(client: httpx.Client, sandbox: Sandbox, token: str) -> httpx.Response:
    return ask_token(client, sandbox, grant_type="refresh_token", refresh_token=token)


def account(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/api/v4/account", headers={"Authorization": f"Bearer {token}"})


def test_consent_sends_code_referer_and_state_back(sandbox: Sandbox, client: httpx.Client) -> None:
    query = {"client_id": sandbox.integration.client_id, "state": "s-1", "mode": "popup"}
    page = client.get("/oauth", params=query)
    assert page.headers["content-type"].startswith("text/html")
    assert 'name="decision" value="allow"' in page.text

    answer = client.get("/oauth", params=query | {"decision": "allow"})
    assert answer.status_code == 302
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith(sandbox.integration.redirect_uri)
    assert back["state"] == ["s-1"]
    assert back["client_id"] == [sandbox.integration.client_id]
    assert back["referer"] == [client.base_url.netloc.decode()]
    assert exchange(client, sandbox, back["code"][0]).status_code == 200


def test_refused_consent_sends_access_denied_back(sandbox: Sandbox, client: httpx.Client) -> None:
    query = {"client_id": sandbox.integration.client_id, "state": "s", "decision": "deny"}
    back = parse_qs(urlsplit(client.get("/oauth", params=query).headers["location"]).query)
    assert (back["error"], back["state"]) == (["access_denied"], ["s"])
    assert "code" not in back


def test_code_buys_a_pair_whose_access_token_is_a_jwt_of_a_day(sandbox: Sandbox, client: httpx.Client) -> None:
    answer = exchange(client, sandbox, sandbox.authorization_code())
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 86400)

    key = OctKey.import_key(hashlib.sha512(b"sandbox/1").digest())
    claims = jwt.decode(body["access_token"], key).claims
    assert claims["exp"] - claims["iat"] == 86400
    assert claims["aud"] == sandbox.integration.client_id
    assert (claims["sub"], claims["account_id"]) == ("8800101", 31500001)
    assert {"jti", "nbf", "grant_type", "base_domain", "api_domain", "scopes"} <= set(claims)

    shown = account(client, body["access_token"])
    assert shown.json()["current_user_id"] == 8800101


def test_token_endpoint_reads_a_form_and_a_trailing_slash(sandbox: Sandbox, client: httpx.Client) -> None:
    integration = sandbox.integration
    form = {
        "client_id": integration.client_id,
        "client_secret": integration.client_secret,
        "redirect_uri": integration.redirect_uri,
        "grant_type": "authorization_code",
        "code": sandbox.authorization_code(),
    }
    assert client.post("/oauth2/access_token/", data=form).status_code == 200


def test_refresh_rotates_and_the_spent_token_is_refused(sandbox: Sandbox, client: httpx.Client) -> None:
    first = exchange(client, sandbox, sandbox.authorization_code()).json()
    second = refresh(client, sandbox, first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]

    spent = refresh(client, sandbox, first["refresh_token"])
    assert spent.status_code == 401
    assert spent.headers["content-type"] == "application/problem+json"
    assert spent.json()["hint"] == "Token has been revoked"
    assert spent.json()["type"] == "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"
    # Recovery: the new one still works.
    assert refresh(client, sandbox, second.json()["refresh_token"]).status_code == 200


REFUSALS = [
    # what is wrong                          status  hint
    ("late code", 400, "Authorization code has expired"),
    ("used code", 400, "Authorization code has been revoked"),
    ("foreign code", 400, "Cannot decrypt the authorization code"),
    ("foreign refresh token", 401, "Invalid refresh token"),
    ("old refresh token", 401, "Token has been revoked"),
    ("wrong client", 400, "Check the `client_id` parameter"),
    ("wrong secret", 400, "Check the `client_id` parameter"),
    ("wrong redirect", 400, "Check the `client_id` parameter"),
]


@pytest.mark.parametrize(("wrong", "status", "hint"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_token_endpoint_refuses_with_a_hint(
    sandbox: Sandbox, client: httpx.Client, wrong: str, status: int, hint: str
) -> None:
    code = sandbox.authorization_code()
    values = {"grant_type": "authorization_code", "code": code}
    match wrong:
        case "late code":
            sandbox.advance(20 * 60 + 1)
        case "used code":
            exchange(client, sandbox, code)
        case "foreign code":
            values["code"] = "def502"
        case "foreign refresh token":
            values = {"grant_type": "refresh_token", "refresh_token": "def502"}
        case "old refresh token":
            token = sandbox.token_pair()["refresh_token"]
            sandbox.advance(91 * 24 * HOUR)
            values = {"grant_type": "refresh_token", "refresh_token": token}
        case "wrong client":
            values["client_id"] = "nobody"
        case "wrong secret":
            values["client_secret"] = "guess"
        case "wrong redirect":
            values["redirect_uri"] = "https://elsewhere.example"
    answer = ask_token(client, sandbox, **values)
    assert (answer.status_code, answer.json()["hint"]) == (status, hint)


@pytest.mark.parametrize("fate", ["expired", "revoked", "foreign", "absent"])
def test_dead_token_gets_401_and_a_fresh_one_works(sandbox: Sandbox, client: httpx.Client, fate: str) -> None:
    pair = sandbox.token_pair()
    token = pair["access_token"]
    match fate:
        case "expired":
            sandbox.advance(24 * HOUR + 1)
        case "revoked":
            sandbox.disconnect()
        case "foreign":
            token = token[:-4] + "AAAA"
        case _:
            token = "nothing"
    answer = account(client, token)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Invalid user name or password"
    assert account(client, sandbox.token_pair()["access_token"]).status_code == 200


def test_long_lived_token_outlives_a_day_and_dies_when_switched_off(sandbox: Sandbox, client: httpx.Client) -> None:
    token = sandbox.long_lived_token()
    sandbox.advance(300 * 24 * HOUR)
    assert account(client, token).status_code == 200
    sandbox.disconnect()
    assert account(client, token).status_code == 401


def test_disconnect_hook_is_signed(sandbox: Sandbox) -> None:
    sandbox.set_integration(disconnect_url="https://hub.example/off")
    address = sandbox.disconnect()
    assert address is not None
    query = parse_qs(urlsplit(address).query)
    integration = sandbox.integration
    message = f"{integration.client_id}|31500001".encode()
    expected = hmac.new(integration.client_secret.encode(), message, hashlib.sha256).hexdigest()
    assert query == {
        "account_id": ["31500001"],
        "client_uuid": [integration.client_id],
        "signature": [expected],
    }


def test_renamed_account_answers_only_on_its_new_host(sandbox: Sandbox, client: httpx.Client) -> None:
    pair = sandbox.token_pair()
    port = client.base_url.port
    sandbox.switch(moved_to=f"localhost:{port}")
    assert account(client, pair["access_token"]).status_code == 401
    assert refresh(client, sandbox, pair["refresh_token"]).status_code == 404
    where = client.get("/oauth2/account/current/subdomain", headers={"X-Refresh-Token": pair["refresh_token"]}).json()
    assert where == {
        "id": 31500001,
        "subdomain": "nordtea",
        "domain": f"localhost:{port}",
        "top_level_domain": "ru",
    }
    headers = {"Authorization": f"Bearer {pair['access_token']}", "Host": where["domain"]}
    assert client.get("/api/v4/account", headers=headers).status_code == 200


def test_only_administrators_may_list_users_and_subscribe(sandbox: Sandbox, client: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token(8800102)}"}
    assert client.get("/api/v4/users", headers=headers).status_code == 403
    assert client.get("/api/v4/webhooks", headers=headers).status_code == 403
    assert client.get("/api/v4/account", headers=headers).json()["current_user_id"] == 8800102
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    assert client.get("/api/v4/users", headers=headers).status_code == 200


def test_front_end_token_is_signed_with_the_integrations_secret(sandbox: Sandbox) -> None:
    token = sandbox.disposable_token("https://hub.example", 8800102)
    key = OctKey.import_key(sandbox.integration.client_secret)
    claims = jwt.decode(token, key).claims
    assert claims["exp"] - claims["iat"] == 30 * 60
    assert (claims["aud"], claims["user_id"], claims["is_admin"]) == ("https://hub.example", 8800102, False)
    assert claims["client_uuid"] == sandbox.integration.client_id
