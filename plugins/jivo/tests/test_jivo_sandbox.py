"""The cabinet from outside: what it says of the hub's answers (H10, reference 1 and 5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hub_jivo.sandbox.cabinet import Cabinet
from hub_jivo.sandbox.control import build_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hub_sandbox import serve_app

CHAT = {"do": "chat", "visitor": {"number": 7, "name": "Maria"}, "lines": [["visitor", "Is it in stock?"]]}

HUBS = [
    # what the hub answers             of the chat's one webhook the vendor complains
    (JSONResponse({"result": "ok"}), []),
    (PlainTextResponse(""), ["chat_finished: the answer is not JSON"]),
    (JSONResponse({"result": "no"}, status_code=503), ["chat_finished: result: no", "chat_finished: HTTP 503"]),
]


async def _played(hook: str) -> dict[str, Any]:
    with serve_app(build_app(Cabinet(hook=hook))) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            answer = await client.post("/_sandbox/play", json=[CHAT])
            # each order tells of its own webhooks only
            assert answer.json() == (await client.post("/_sandbox/play", json=[CHAT])).json()
            return dict(answer.json())


@pytest.mark.parametrize(("answer", "problems"), HUBS, ids=lambda value: None)
async def test_what_the_vendor_can_make_nothing_of_is_told(answer: Response, problems: list[str]) -> None:
    async def take(_: Request) -> Response:
        return answer

    with serve_app(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as hub:
        assert await _played(f"{hub}/hook") == {"played": 1, "problems": problems, "unanswered": 0}


async def test_a_webhook_without_an_answer_is_counted_and_the_chats_go_on() -> None:
    """The vendor neither waits nor sends again (?): who is not there in time has one webhook less."""
    with serve_app(Starlette()) as gone:
        pass
    assert await _played(gone) == {"played": 1, "problems": [], "unanswered": 1}
