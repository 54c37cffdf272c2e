"""Webhooks are on disk before the vendor hears "yes", and nothing that comes is lost or guessed (H3, H8, H11)."""

from __future__ import annotations

import asyncio

from hub.store import inbox
from tests.web.conftest import Web

async def test_smoke(web: Web) -> None:
    r = await web.client.post(web.hook(), content=b"x=1")
    assert r.status_code == 200
    r = await web.client.post(web.forward(), json={"uuid": "u", "caller": "380501112233"})
    assert (r.status_code, r.text) == (200, "examplecom_olena")
    print(r.headers)
