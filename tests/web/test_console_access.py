"""Who gets into the console, and what every answer carries (H8)."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from babel import dates
from sqlalchemy import Connection, insert
from starlette.routing import Mount, Route

from hub.clock import FakeClock
from hub.core.interaction import ClientId, InteractionId, ProjectId
from hub.core.waiting import dismissal_key
from hub.store import dues, interactions, schema, users, waiting
from hub.store.crypto import hash_password
from hub.testing.builders import answered
from hub.testing.messages import message
from hub.web.console.routes import ROUTES
from hub.web.limits import FORM_LIMIT
from tests.web.conftest import PROJECT, Web

LOGIN, PASSWORD = "olha", "correct horse battery"


@pytest.fixture
async def browser(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without cookies; the fixture's hub says that it is reached by https, so cookies are kept by hand."""
    now = web.services.clock.now()
    hashed = hash_password(PASSWORD)
    web.services.store.write_now(
        lambda conn: users.add_user(conn, login=LOGIN, password_hash=hashed, role="admin", now=now, language="uk")
    )
    web.services.store.write_now(
        lambda conn: users.add_user(conn, login="head", password_hash=hashed, role="head", now=now, projects=["other"])
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", timeout=10) as client:
        yield client


def _cookies(client: httpx.AsyncClient) -> dict[str, str]:
    pairs = (part.partition("=") for part in client.headers.get("cookie", "").split("; ") if part)
    return {name: value for name, _, value in pairs}


def _keep_cookies(client: httpx.AsyncClient, answer: httpx.Response) -> None:
    """As a browser over https would: the cookies are marked Secure, and the test speaks plain http."""
    client.cookies.clear()
    kept = _cookies(client)
    for line in answer.headers.get_list("set-cookie"):
        name, _, rest = line.partition("=")
        kept[name] = rest.split(";")[0].strip('"')
    client.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in kept.items() if value)


def _put_cookies(client: httpx.AsyncClient, cookies: dict[str, str]) -> None:
    client.cookies.clear()
    client.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())


def _token(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def _log_in(client: httpx.AsyncClient, login: str = LOGIN, password: str = PASSWORD) -> httpx.Response:
    answer = await client.get("/console/login")
    _keep_cookies(client, answer)
    form = {"csrf": _token(answer.text), "login": login, "password": password, "next": ""}
    answer = await client.post("/console/login", data=form)
    _keep_cookies(client, answer)
    return answer


async def test_the_right_password_opens_a_session_and_its_cookie_is_kept_from_scripts(
    browser: httpx.AsyncClient,
) -> None:
    answer = await _log_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith("hub_session="))
    assert {"HttpOnly", "SameSite=lax", "Secure"} <= {part.strip() for part in cookie.split(";")}
    page = await browser.get(f"/console/{PROJECT}/journal")
    assert page.status_code == 200
    assert 'lang="uk"' in page.text


async def test_no_reply_needed_is_one_button_where_the_client_waits(browser: httpx.AsyncClient, web: Web) -> None:
    """W6: and it asks for nothing where nobody waits, or in another project's name."""
    store, now = web.services.store, web.services.clock.now()
    told = replace(message(), project=ProjectId(PROJECT), started_at=now)
    client = ClientId("c1")

    def arrive(conn: Connection) -> None:
        conn.execute(insert(schema.client).values(id=client, project=PROJECT, created_at=now))
        interactions.put(conn, told, client_id=client, received_at=now, decide_at=None)
        waiting.follow(conn, told, client)

    await store.write(arrive)
    await _log_in(browser)
    address = f"/console/{PROJECT}/interactions/{told.id}"
    page = await browser.get(address)
    assert f'action="{address}/no-reply"' in page.text
    answer = await browser.post(f"{address}/no-reply", data={"csrf": _token(page.text)})
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    (look,) = store.read_now(lambda conn: dues.list_of_client(conn, PROJECT, client))
    assert look.key == dismissal_key(client, told.id)
    await store.write(lambda conn: waiting.end(conn, client, told.id))
    assert "no-reply" not in (await browser.get(address)).text


async def test_the_first_page_shows_the_last_day_that_had_calls(
    browser: httpx.AsyncClient, web: Web, clock: FakeClock
) -> None:
    """U2: before the day's first call the figures are those of the last day that had any, which they name."""
    now = clock.now()
    zone = web.services.projects.get(PROJECT).policy.zone  # type: ignore[union-attr]  # it has one
    for number, at in enumerate((now, now - timedelta(days=3), now - timedelta(days=3, minutes=1))):
        told = replace(answered(), id=InteractionId(f"call-{number}"), external_id=str(number), started_at=at)
        told = replace(told, project=ProjectId(PROJECT))
        put = partial(interactions.put, found=told, client_id=ClientId("c1"), received_at=now, decide_at=None)
        await web.services.store.write(put)
    await _log_in(browser)
    today = now.astimezone(zone).date().isoformat()
    assert f"status=answered&amp;since={today}&amp;until={today}" in (await browser.get(f"/console/{PROJECT}/")).text
    clock.advance(timedelta(days=1))
    page = (await browser.get(f"/console/{PROJECT}/")).text
    assert f"status=answered&amp;since={today}&amp;until={today}" in page
    assert f'<span class="soft small">{dates.format_date(now.astimezone(zone).date(), "d MMM y", "uk")}</span>' in page


def _stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("hub.db*"))


async def test_a_session_is_stored_only_as_a_hash(browser: httpx.AsyncClient, web: Web) -> None:
    await _log_in(browser)
    token = _cookies(browser)["hub_session"]
    raw = _stored(web.services.settings.data_directory)
    assert LOGIN.encode() in raw
    assert token.encode() not in raw
    assert PASSWORD.encode() not in raw


async def test_a_wrong_password_and_an_unknown_login_are_told_alike(browser: httpx.AsyncClient) -> None:
    wrong = await _log_in(browser, password="guess")
    unknown = await _log_in(browser, login="nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert "hub_session" not in _cookies(browser)


async def test_who_guesses_waits_ever_longer_and_is_told_how_long(browser: httpx.AsyncClient, clock: FakeClock) -> None:
    """H8: also with the right password, from the place that guessed."""
    for _ in range(5):
        assert (await _log_in(browser, password="guess")).status_code == 401
    refused = await _log_in(browser)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert re.search(r"Try again in 5\s+s\.", html.unescape(refused.text))
    clock.advance(timedelta(seconds=6))
    assert (await _log_in(browser, password="guess")).status_code == 401
    assert (await _log_in(browser)).headers["retry-after"] == "10"
    clock.advance(timedelta(seconds=11))
    assert (await _log_in(browser)).status_code == 303


async def test_nobody_else_keeps_the_administrator_out(browser: httpx.AsyncClient, web: Web) -> None:
    """H8: a flood of guesses from elsewhere, or even from the same address, stops no browser that has been here."""
    await _log_in(browser)
    known = _cookies(browser)["hub_device"]
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", transport=elsewhere) as guesser:
        for _ in range(5):
            assert (await _log_in(guesser, password="guess")).status_code == 401
        assert (await _log_in(guesser)).status_code == 429
    # from another address the login is open
    _put_cookies(browser, {})
    assert (await _log_in(browser)).status_code == 303
    # and from the same one, to the browser that logged in before
    _put_cookies(browser, {})
    for _ in range(5):
        assert (await _log_in(browser, password="guess")).status_code == 401
    assert (await _log_in(browser)).status_code == 429
    _put_cookies(browser, {"hub_device": f"{known[:-1]}x"})
    assert (await _log_in(browser)).status_code == 429, "a made-up cookie"
    _put_cookies(browser, {"hub_device": known})
    assert (await _log_in(browser, login="other")).status_code == 401, "it is the administrator's"
    _put_cookies(browser, {"hub_device": known})
    assert (await _log_in(browser)).status_code == 303


async def test_a_login_form_of_another_site_is_refused(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/console/login")
    _keep_cookies(browser, answer)
    form = {"csrf": _token(answer.text), "login": LOGIN, "password": PASSWORD}
    assert (await browser.post("/console/login", data={**form, "csrf": "made up"})).status_code == 403
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.post("/console/login", data=form, headers=foreign)).status_code == 403


async def _endless(size: int) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    part = b"login=" + b"x" * 65_530
    for _ in range(size // len(part) + 1):
        yield part


async def test_a_form_without_end_is_refused_before_it_fills_the_memory(browser: httpx.AsyncClient) -> None:
    """H8: nobody has to be known for that, and a body that is sent in pieces tells no length beforehand."""
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for content in (b"login=" + b"x" * FORM_LIMIT, _endless(FORM_LIMIT)):
        answer = await browser.post("/console/login", content=content, headers=kind)
        assert answer.status_code == 413
    assert (await _log_in(browser)).status_code == 303
    answer = await browser.post("/console/logout", content=_endless(FORM_LIMIT), headers=kind)
    assert answer.status_code == 413


@pytest.mark.parametrize("code", ["utf-8", "unicode_escape", "punycode", "undefined"])
async def test_a_form_in_a_code_of_its_own_is_refused(browser: httpx.AsyncClient, code: str) -> None:
    """H8, H11: half a surrogate pair, which nothing could store, or a codec that breaks; no page of ours sends such."""
    page = await browser.get("/console/login")
    _keep_cookies(browser, page)
    parts = {"csrf": _token(page.text), "login": r"\ud800", "password": "x"}
    told = "".join(f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items())
    kind = {"content-type": f"multipart/form-data; boundary=x; charset={code}"}
    answer = await browser.post("/console/login", content=f"{told}--x--\r\n", headers=kind)
    assert answer.status_code == 415
    assert (await _log_in(browser)).status_code == 303


def _paths(method: str) -> list[str]:
    found = []
    for mount in ROUTES:
        if isinstance(mount, Mount):
            for route in mount.routes:
                if isinstance(route, Route) and method in (route.methods or ()):
                    found.append(mount.path + route.path)
    return found


def _filled(path: str) -> str:
    values = {"project": PROJECT, "id": "i1", "connection": "amo", "channel": "phone"}
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


async def test_every_post_wants_the_sessions_own_token(browser: httpx.AsyncClient) -> None:
    await _log_in(browser)
    for path in _paths("POST"):
        if path in ("/console/login", "/setup/"):
            continue  # they come before a session and have a token of their own
        assert (await browser.post(_filled(path), data={"csrf": "made up"})).status_code == 403, path
        assert (await browser.post(_filled(path))).status_code == 403, path


async def test_every_page_wants_a_session_and_carries_the_headers(browser: httpx.AsyncClient) -> None:
    for path in _paths("GET"):
        if path in ("/console/login", "/setup/"):
            continue
        plain = await browser.get(_filled(path))
        assert plain.status_code == 401, path
        page = await browser.get(_filled(path), headers={"accept": "text/html"})
        assert page.status_code == 303, path
        assert page.headers["location"].startswith("/console/login?next=/")
        policy = page.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"


async def test_a_head_sees_only_their_projects_and_changes_no_settings(browser: httpx.AsyncClient) -> None:
    await _log_in(browser, login="head")
    assert (await browser.get(f"/console/{PROJECT}/journal")).status_code == 404
    assert (await browser.get("/setup/")).status_code == 403


async def test_the_way_back_after_login_never_leads_elsewhere(browser: httpx.AsyncClient) -> None:
    for wanted in ("https://evil.example/", "//evil.example", "/console/\\evil", "javascript:alert(1)"):
        answer = await browser.get("/console/login", params={"next": wanted})
        assert 'name="next" value="/console/"' in answer.text


async def test_logging_out_ends_the_session_for_good(browser: httpx.AsyncClient) -> None:
    await _log_in(browser)
    token = _cookies(browser)["hub_session"]
    page = await browser.get(f"/console/{PROJECT}/")
    await browser.post("/console/logout", data={"csrf": _token(page.text)})
    assert _cookies(browser)["hub_session"] == token
    assert (await browser.get(f"/console/{PROJECT}/")).status_code == 401


async def test_no_page_has_inline_script_or_style(browser: httpx.AsyncClient) -> None:
    templates = Path(__file__).parents[2] / "hub" / "web" / "templates"
    for path in templates.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|\|\s*safe\b|javascript:", text), path
