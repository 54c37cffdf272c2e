"""What a site posts becomes a row like any other (J8)."""

from __future__ import annotations

import pytest

from hub.store import inbox
from hub.web import forms
from tests.web.conftest import CHANNEL, PROJECT, SECRET, Web

PATH = f"/forms/{PROJECT}/{SECRET}"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"phone": "+380501112233", "form_name": "Order"}', "application/json"),
        (b"phone=%2B380501112233&form_name=Order", "application/x-www-form-urlencoded"),
        (b"phone=%2B380501112233&form_name=Order", "text/plain"),
    ],
)
async def test_a_form_is_stored_for_the_channel_of_the_secret(web: Web, content: bytes, kind: str) -> None:
    answer = await web.client.post(
        PATH, content=content, headers={"content-type": kind, "origin": "https://shop.example"}
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    [row] = web.services.store.read_now(inbox.unread)
    assert (row.project, row.channel, row.kind, row.request.body) == (PROJECT, CHANNEL, "form", content)


async def test_a_browser_may_ask_first(web: Web) -> None:
    answer = await web.client.options(
        PATH, headers={"origin": "https://shop.example", "access-control-request-method": "POST"}
    )
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert web.services.store.read_now(inbox.unread) == []


async def test_a_form_is_not_fetched(web: Web) -> None:
    assert (await web.client.get(PATH)).status_code == 405


async def test_a_flood_is_turned_away(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address stands in the site's page; the clock of the test stands still, so this is one minute."""
    statuses = [(await web.client.post(PATH, content=b"phone=1")).status_code for _ in range(5)]
    assert statuses == [200] * 5
    rate = web.app.forms.rate
    for _ in range(forms.MOST_A_MINUTE - 5):
        assert rate.allows(PROJECT)
    assert (await web.client.post(PATH, content=b"phone=1")).status_code == 429
