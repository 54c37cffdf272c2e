"""The CRM's own webhooks are stored for the directory, quickly (H6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.store import inbox
from tests.web.conftest import CRM, CRM_SECRET, PROJECT, SECRET, Web

PATH = f"/crm/{PROJECT}/{CRM}/{CRM_SECRET}"


async def test_a_bracketed_form_is_stored_whole(web: Web) -> None:
    body = b"leads[update][0][id]=25399013&leads[update][0][name]=Tea&account[subdomain]=test"
    answer = await web.client.post(PATH, content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.content) == (200, b"")
    [row] = web.services.store.read_now(inbox.unread)
    assert (row.project, row.channel, row.kind, row.request.body) == (PROJECT, CRM, "crm", body)


async def test_it_is_answered_before_amocrm_loses_patience(web: Web) -> None:
    """amoCRM switches a webhook off that takes longer than 2 s."""
    desk = web.app.desks["crm"]
    assert desk.longest + desk.watch.EVERY < timedelta(seconds=2)


@pytest.mark.parametrize("secret", [SECRET, "", "0" * 30])
async def test_a_channels_secret_does_not_open_it(web: Web, secret: str) -> None:
    answer = await web.client.post(f"/crm/{PROJECT}/{CRM}/{secret}", content=b"x")
    assert answer.status_code == 404
    assert web.services.store.read_now(inbox.unread) == []
