"""What the account's pages ask the amoCRM sandbox for: session, widgets, the disposable token (reference 1.15)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox, serve
from joserfc import jwt
from joserfc.jwk import OctKey

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ADMIN, MANAGER = 8800101, 8800102
PAGE = {"X-Requested-With": "XMLHttpRequest"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as found:
        yield found


@pytest.fixture
def sandbox(served: tuple[Sandbox, str]) -> Sandbox:
    served[0].reset()
    served[0].set_integration(redirect_uri="https://hub.example:8443/oauth/amocrm/callback")
    return served[0]


@pytest.fixture
def browser(served: tuple[Sandbox, str], sandbox: Sandbox) -> Iterator[httpx.Client]:
    cookies = {"session_id": sandbox.log_in(MANAGER)}
    with httpx.Client(base_url=served[1], trust_env=False, verify=PLAIN, cookies=cookies) as client:
        yield client


def token_path(sandbox: Sandbox, client_id: str = "") -> str:
    return f"/ajax/v2/integrations/{client_id or sandbox.integration.client_id}/disposable_token"


def claims(sandbox: Sandbox, answer: httpx.Response) -> dict[str, object]:
    key = OctKey.import_key(sandbox.integration.client_secret)
    found = jwt.decode(answer.json()["token"], key, algorithms=["HS256"])
    return dict(found.claims)


def test_the_token_names_account_person_and_our_address_without_port(sandbox: Sandbox, browser: httpx.Client) -> None:
    told = claims(sandbox, browser.get(token_path(sandbox), headers=PAGE))
    assert told["aud"] == "https://hub.example"
    assert (told["user_id"], told["is_admin"]) == (MANAGER, False)
    assert (told["account_id"], told["subdomain"]) == (31500001, "nordtea")
    assert told["client_uuid"] == sandbox.integration.client_id
    assert int(str(told["exp"])) - int(str(told["iat"])) == 1800


def test_a_token_needs_the_session_and_the_page(sandbox: Sandbox, browser: httpx.Client) -> None:
    assert browser.get(token_path(sandbox)).status_code == 401
    assert browser.get(token_path(sandbox, "unknown"), headers=PAGE).status_code == 404
    browser.cookies.clear()
    assert browser.get(token_path(sandbox), headers=PAGE).status_code == 401
    browser.cookies.set("session_id", sandbox.log_in(ADMIN))
    assert claims(sandbox, browser.get(token_path(sandbox), headers=PAGE))["is_admin"] is True


def test_tokens_can_be_old_or_for_somebody_else(sandbox: Sandbox, browser: httpx.Client) -> None:
    sandbox.switch(token_age_seconds=3600, token_audience="https://other.example")
    told = claims(sandbox, browser.get(token_path(sandbox), headers=PAGE))
    assert int(str(told["exp"])) < sandbox.world.now()
    assert told["aud"] == "https://other.example"


def test_a_page_reads_records_with_its_session(sandbox: Sandbox, browser: httpx.Client) -> None:
    made = sandbox.person("create_contact", name="Анна", phone="+380501112233")
    assert browser.get(f"/api/v4/contacts/{made['id']}").json()["name"] == "Анна"
    browser.cookies.clear()
    assert browser.get(f"/api/v4/contacts/{made['id']}").status_code == 401


def test_installed_widgets_are_listed_with_their_settings(sandbox: Sandbox, browser: httpx.Client) -> None:
    sandbox.install_widget("crm_hub", path="/w/1", installed_version="1.0.0", settings={"a": "b"})
    told = browser.post("/ajax/widgets/list", data={"area": "leads_card"}).json()
    assert told["widgets"]["crm_hub"]["installed_version"] == "1.0.0"
    assert (told["system"]["area"], told["system"]["subdomain"]) == ("leads_card", "nordtea")
    sandbox.install_widget("crm_hub", installed_version="1.1.0")
    assert browser.post("/ajax/widgets/list").json()["widgets"]["crm_hub"]["settings"] == {"a": "b"}
    sandbox.remove_widget("crm_hub")
    assert browser.post("/ajax/widgets/list").json()["widgets"] == {}


def test_only_an_administrator_saves_settings(sandbox: Sandbox, browser: httpx.Client) -> None:
    sandbox.install_widget("crm_hub")
    saved = {"code": "crm_hub", "active": "Y", "settings": {"a": "c"}}
    assert browser.post("/ajax/widgets/edit", json=saved).status_code == 403
    browser.cookies.clear()
    assert browser.post("/ajax/widgets/edit", json=saved).status_code == 401
    browser.cookies.set("session_id", sandbox.log_in(ADMIN))
    assert browser.post("/ajax/widgets/edit", json=saved).status_code == 200
    assert browser.post("/ajax/widgets/edit", json=saved | {"code": "other"}).status_code == 404
    assert browser.post("/ajax/widgets/list").json()["widgets"]["crm_hub"]["settings"] == {"a": "c"}


def test_notices_are_put_away_by_id(sandbox: Sandbox, browser: httpx.Client) -> None:
    assert browser.post("/v3/inbox/delete", json={"id": ["7"], "all": False}).status_code == 200
    assert sandbox.gateway.front_end.deleted_notices == ["7"]


def test_nobody_unknown_logs_in(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no active user 1"):
        sandbox.log_in(1)
