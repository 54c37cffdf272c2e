"""Who the widget's API lets in: amoCRM's token claim by claim, the account's own pages, nobody else (U1, H8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from hub.clock import FakeClock
from hub.runtime.services import Services
from hub.store import projects
from hub.store.projects import Status
from hub.web.widget.visitor import MOST_A_MINUTE, MOST_REFUSALS
from tests.web.conftest import CRM, PROJECT, Web, publish
from tests.web.widget_page import LIFE, OLENA, ORIGIN, Page, claims, connect, encode, open_page, sign

ALLOWED = "access-control-allow-origin"


@pytest.fixture
async def opened(make_services: Callable[..., Services]) -> AsyncIterator[tuple[Web, Page]]:
    async with open_page(make_services) as found:
        yield found


@pytest.fixture
def page(opened: tuple[Web, Page]) -> Page:
    return opened[1]


async def test_an_employee_of_the_account_is_let_in_and_known(page: Page) -> None:
    answer = await page.post("/session", {"version": "1.0.0"})
    assert answer.status_code == 200, answer.text
    assert answer.headers[ALLOWED] == ORIGIN
    assert answer.headers["vary"] == "Origin"
    told = answer.json()
    assert told["employee"] == {"id": "olena", "name": "Olena", "roles": ["manager"]}
    assert (told["is_admin"], told["language"]) == (False, "en")


async def test_one_token_serves_as_long_as_it_lives(page: Page) -> None:
    """The vendor hands out the same one for half an hour: a repeated ``jti`` is refused by nobody."""
    assert [(await page.post("/session")).status_code for _ in range(3)] == [200, 200, 200]


REFUSED: list[tuple[str, Callable[[], str], int, str]] = [
    ("no token at all", lambda: "", 401, "no_token"),
    ("no token but words", lambda: "hello", 401, "bad_token"),
    ("parts that are no JSON", lambda: "a.b.c", 401, "bad_token"),
    ("unsigned", lambda: sign(claims(), header={"alg": "none"}).rsplit(".", 1)[0] + ".", 401, "bad_token"),
    ("unsigned, in capitals", lambda: f"{encode({'alg': 'NONE'})}.{encode(claims())}.", 401, "bad_token"),
    ("no algorithm", lambda: sign(claims(), header={"typ": "JWT"}), 401, "bad_token"),
    ("a bot's algorithm", lambda: sign(claims(), header={"typ": "JWT", "alg": "HS512"}), 401, "bad_token"),
    ("another key's signature", lambda: sign(claims(), key="x" * 64), 401, "bad_token"),
    ("claims exchanged under a signature", lambda: _swapped(), 401, "bad_token"),
    ("too long", lambda: sign(claims(padding="x" * 5000)), 401, "bad_token"),
    ("an integration that nobody connected", lambda: sign(claims(client_uuid="other")), 401, "unknown_client"),
    ("no integration", lambda: sign(claims(client_uuid=...)), 401, "unknown_client"),
    ("another hub's address", lambda: sign(claims(aud="https://other.example.net")), 401, "wrong_audience"),
    ("our address with a path", lambda: sign(claims(aud="https://hub.example.net/oauth")), 401, "wrong_audience"),
    ("several addresses", lambda: sign(claims(aud=["https://hub.example.net"])), 401, "wrong_audience"),
    ("no end", lambda: sign(claims(exp=...)), 401, "bad_token"),
    ("no beginning", lambda: sign(claims(nbf=...)), 401, "bad_token"),
    ("an end that is a word", lambda: sign(claims(exp="tomorrow")), 401, "bad_token"),
    ("issued elsewhere", lambda: sign(claims(iss="https://demo7.evil.example")), 401, "wrong_issuer"),
    ("issued by the vendor's bare domain", lambda: sign(claims(iss="https://amocrm.ru")), 401, "wrong_issuer"),
    ("issued without https", lambda: sign(claims(iss="http://demo7.amocrm.ru")), 401, "wrong_issuer"),
    ("issuer and sub-domain disagree", lambda: sign(claims(iss="https://demo8.amocrm.ru")), 401, "wrong_issuer"),
    ("a sub-domain that is a host", lambda: sign(claims(subdomain="x.evil.example/")), 401, "wrong_issuer"),
    ("another account", lambda: sign(claims(account_id=99)), 403, "other_account"),
    (
        "another account's name",
        lambda: sign(claims(subdomain="demo8", iss="https://demo8.amocrm.ru")),
        403,
        "other_account",
    ),
    ("no account", lambda: sign(claims(account_id=...)), 401, "bad_token"),
    ("no user", lambda: sign(claims(user_id=None)), 401, "bad_token"),
    ("a user whom the hub does not know", lambda: sign(claims(77)), 403, "unknown_user"),
]


def _swapped() -> str:
    head, _, signature = sign(claims()).split(".")
    return f"{head}.{encode(claims(2, is_admin=True))}.{signature}"


async def test_each_bad_token_is_refused_readably_and_a_good_one_recovers(page: Page) -> None:
    """The refusal says what to do, in the language that was asked for, and the page may read it."""
    good, found = page.token, []
    for what, token, _, _ in REFUSED:
        page.token = token()
        answer = await page.post("/session", lang="uk")
        error = answer.json()["error"]
        found.append((what, answer.status_code, error["code"]))
        assert error["message"].endswith(".")
        assert answer.headers[ALLOWED] == ORIGIN
        page.token = good
        assert (await page.post("/session")).status_code == 200
    assert found == [(what, status, code) for what, _, status, code in REFUSED]


@pytest.mark.parametrize(
    ("moved", "status"),
    [
        (timedelta(seconds=-60), 200),
        (timedelta(seconds=-61), 401),
        (LIFE + timedelta(seconds=59), 200),
        (LIFE + timedelta(seconds=60), 401),
    ],
    ids=["just early", "too early", "just late", "too late"],
)
async def test_clocks_may_differ_by_a_minute(page: Page, clock: FakeClock, moved: timedelta, status: int) -> None:
    clock.advance(moved)
    answer = await page.post("/session")
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"]["code"] == "expired"
        begins = int(clock.now().timestamp())
        page.token = sign(claims(nbf=begins, exp=begins + 1800))
        assert (await page.post("/session")).status_code == 200


async def test_an_administrator_of_the_account_may_look_before_being_matched(page: Page) -> None:
    page.token = sign(claims(77, is_admin=True))
    told = (await page.post("/session")).json()
    assert (told["employee"], told["is_admin"]) == (None, True)


async def test_a_claim_of_being_administrator_counts_only_as_true(page: Page) -> None:
    page.token = sign(claims(77, is_admin="true"))
    assert (await page.post("/session")).status_code == 403


async def test_an_account_that_was_switched_off_is_refused_until_it_is_on(opened: tuple[Web, Page]) -> None:
    """A CRM that is merely down keeps the widget going; one that was switched off does not."""
    web, page = opened

    def stand(status: Status) -> None:
        services = web.services
        services.store.write_now(
            lambda conn: projects.set_status(conn, PROJECT, CRM, status, now=services.clock.now(), reason="test")
        )
        services.projects.reload_now()

    stand(Status.OFF)
    assert (await page.post("/session")).json()["error"]["code"] == "not_connected"
    stand(Status.RETRYING)
    assert (await page.post("/session")).status_code == 200


async def test_a_sandbox_account_is_used_from_this_machine_only(make_services: Callable[..., Services]) -> None:
    sandbox: dict[str, Any] = {"address": "http://127.0.0.1:9090", "is_loopback_allowed": True, "account_id": ""}
    async with open_page(make_services, **sandbox) as (_, page):
        page.origin = "http://127.0.0.1:5555"
        answer = await page.post("/session")
        assert (answer.status_code, answer.headers[ALLOWED]) == (200, page.origin)
        page.origin = ORIGIN
        assert (await page.post("/session")).json()["error"]["code"] == "other_origin"


# --- pages ------------------------------------------------------------------------------------------------------

FOREIGN = [
    "https://evil.example",
    "https://demo8.amocrm.ru",
    "https://demo7.amocrm.ru.evil.example",
    "http://demo7.amocrm.ru",
    "https://demo7.amocrm.ru:8443",
    "http://127.0.0.1:9090",
    "null",
    "https://[",
]


async def test_a_foreign_page_may_neither_call_nor_read(page: Page) -> None:
    for origin in FOREIGN:
        page.origin = origin
        answer = await page.post("/session")
        assert (origin, answer.status_code, answer.json()["error"]["code"]) == (origin, 403, "other_origin")
        assert ALLOWED not in answer.headers
    page.origin = ORIGIN
    assert (await page.post("/session")).status_code == 200


async def test_a_preflight_is_answered_for_the_accounts_own_pages(opened: tuple[Web, Page]) -> None:
    for origin in (ORIGIN, "https://demo7.kommo.com", "https://demo7.amocrm.com"):
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-auth-token,content-type",
        }
        answer = await opened[0].client.options("/widget/api/session", headers=asked)
        assert answer.status_code == 204
        assert answer.headers[ALLOWED] == origin
        assert answer.headers["vary"] == "Origin"
        allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert {"x-auth-token", "content-type", "x-requested-with"} <= allowed
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_of_a_foreign_page_allows_nothing(opened: tuple[Web, Page]) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await opened[0].client.options("/widget/api/session", headers=asked)
    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_wrong_method_is_told_in_the_same_shape(page: Page) -> None:
    answer = await page.get("/session")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "no_method")
    assert answer.headers[ALLOWED] == ORIGIN


# --- limits -----------------------------------------------------------------------------------------------------


UNREADABLE = [
    (b"[]", 422),
    (b"{", 422),
    (b"\xff", 422),
    (b'{"version": "\\ud800"}', 422),
    (b"[" * 60_000, 422),
    (b'"' + b"x" * 70_000 + b'"', 413),
]


async def test_a_body_that_cannot_be_read_is_refused_and_the_next_is_served(opened: tuple[Web, Page]) -> None:
    web, page = opened
    headers = {"X-Auth-Token": page.token, "Origin": ORIGIN}
    for body, status in UNREADABLE:
        answer = await web.client.post("/widget/api/session", content=body, headers=headers)
        assert (body[:5], answer.status_code) == (body[:5], status)
    assert (await page.post("/session")).status_code == 200


async def test_one_employee_cannot_take_everything(page: Page) -> None:
    answers = [(await page.post("/session")).status_code for _ in range(MOST_A_MINUTE + 1)]
    assert answers[-1] == 429
    assert set(answers[:-1]) == {200}
    page.token = sign(claims(2))
    assert (await page.post("/session")).status_code == 200


async def test_who_guesses_is_slowed_down_and_employees_are_not(page: Page) -> None:
    good, page.token = page.token, sign(claims(), key="x" * 64)
    answers = [(await page.post("/session")).status_code for _ in range(MOST_REFUSALS + 1)]
    assert (answers[0], answers[-1]) == (401, 429)
    page.token = good
    assert (await page.post("/session")).status_code == 200


# --- what is not there ------------------------------------------------------------------------------------------


async def test_a_hub_without_a_public_address_says_so(make_services: Callable[..., Services]) -> None:
    async with open_page(make_services) as (web, page):
        settings: Any = web.services.settings
        web.services.settings = settings.model_copy(update={"public_url": ""})
        answer = await page.post("/session")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_set_up")
        assert "HUB_PUBLIC_URL" in answer.json()["error"]["message"]


async def test_an_employee_whom_the_policy_dropped_is_no_longer_let_in(opened: tuple[Web, Page]) -> None:
    web, page = opened
    publish(web.services, '[[employees]]\nid = "petro"\nname = "Petro"\n')
    assert (await page.post("/session")).json()["error"]["code"] == "unknown_user"
    publish(web.services, '[[employees]]\nid = "olena"\nname = "Olena"\n')
    assert (await page.post("/session")).status_code == 200


async def test_a_connection_without_keys_has_no_widget(opened: tuple[Web, Page]) -> None:
    web, page = opened
    connect(web.services, client_secret="short")
    assert (await page.post("/session")).json()["error"]["code"] == "unknown_client"
    connect(web.services)
    assert (await page.post("/session")).status_code == 200
    assert page.token == sign(claims(OLENA))
