"""A hub that says what a test wants, over real HTTP: for what the widget itself does, whatever the hub is about."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hub.web.server import serve_forever

__all__ = ["HubDouble", "ago", "call", "card", "hub_double"]

CORS = {
    "Access-Control-Allow-Headers": "X-Auth-Token, Content-Type, X-Requested-With",
    "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
}


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def call(key: str = "c1", **values: Any) -> dict[str, Any]:
    """A call that rings for me."""
    return {
        "key": key, "kind": "call", "direction": "inbound", "state": "ringing", "at": ago(seconds=2), "for_me": True,
        "answered_by": None, "client": {"id": "77", "name": "Ivan", "phone": "+380501234567", "is_known": True},
        "company": "Nord", "contact": {"id": "1", "name": "Ivan", "url": "https://x.amocrm.ru/contacts/detail/1"},
        "deal": None, "source": "google", "site": {"page": "", "referrer": ""}, "channel": "Ringostat", "text": "",
        "last_contact": None, "responsible": {"id": "oleg", "name": "Oleg", "is_me": True}, "why": "Yours.",
        "interaction": "i1", "can": ["open", "take", "task"],
    } | values  # fmt: skip


def card(**values: Any) -> dict[str, Any]:
    return {
        "client": {"id": "77", "name": "Ivan", "phones": ["+380501234567", "+380671234567"], "emails": []},
        "responsible": {"id": "oleg", "name": "Oleg", "is_me": True}, "why": "He has the open deal.",
        "why_interaction": "i1", "attribution": {"source": "google"}, "before": None, "deals": [], "duplicates": [],
        "interactions": [{"id": "i1", "kind": "call", "direction": "inbound", "at": ago(hours=2), "title": "Call",
                          "result": "answered", "who": None, "seconds": 65, "legs": [], "tone": "good", "why": ""}],
        "tasks": [{"id": "t1", "entity": "deal", "text": "Call back", "due": ago(hours=1), "is_overdue": True,
                   "who": None, "can": ["complete", "reschedule"]}],
        "can": ["call", "take", "task"], "age_seconds": 1,
    } | values  # fmt: skip


@dataclass(slots=True)
class HubDouble:
    """What it answers, what it was asked, and who listens."""

    port: int
    #: "POST /session" or, for all below, "POST /clients/*" -> a body, or (status, body)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    #: the streams that are open
    streams: list[asyncio.Queue[str | None]] = field(default_factory=list)
    #: what each stream was opened with: ``ticket``, ``after``, ``lang``
    opened: list[dict[str, str]] = field(default_factory=list)
    is_down: bool = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/widget/api/live", self._live),
                Route("/widget/api/{path:path}", self._answer, methods=["GET", "POST", "PUT", "OPTIONS"]),
            ]
        )

    def emit(self, name: str, data: Any, number: int = 0) -> None:
        """An event to everybody who listens."""
        for queue in self.streams:
            queue.put_nowait(_event(name, data, number))

    def cut(self) -> None:
        """All streams end, as when the hub stops."""
        for queue in self.streams:
            queue.put_nowait(None)

    def bodies(self, path: str) -> list[Any]:
        """What was sent to paths that end so."""
        return [body for _, asked, body in self.asked if asked.endswith(path)]

    async def _answer(self, request: Request) -> Response:
        headers = CORS | {"Access-Control-Allow-Origin": request.headers.get("origin", ""), "Vary": "Origin"}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
        path = "/" + request.path_params["path"]
        text = await request.body()
        self.asked.append((request.method, path, json.loads(text) if text else None))
        key = f"{request.method} {path}"
        found = self.answers.get(key)
        for wide in self.answers:
            if found is None and wide.endswith("*") and key.startswith(wide[:-1]):
                found = self.answers[wide]
        status, body = found if isinstance(found, tuple) else (200, {} if found is None else found)
        return JSONResponse(body, status_code=503 if self.is_down else status, headers=headers)

    async def _live(self, request: Request) -> Response:
        headers = {"Access-Control-Allow-Origin": request.headers.get("origin", ""), "Cache-Control": "no-store"}
        if self.is_down:
            return Response(status_code=503, headers=headers)
        self.opened.append(dict(request.query_params))
        return StreamingResponse(self._told(), headers=headers, media_type="text/event-stream")

    async def _told(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.streams.append(queue)
        try:
            yield _event("hello", {}, 0)
            while (text := await queue.get()) is not None:
                yield text
        finally:
            self.streams.remove(queue)


def _event(name: str, data: Any, number: int) -> str:
    mark = f"id: {number}\n" if number else ""
    return f"{mark}event: {name}\ndata: {json.dumps(data)}\n\n"


@contextlib.asynccontextmanager
async def hub_double(port: int) -> AsyncIterator[HubDouble]:
    """The double, listening; a session that may call, one card, and every action done."""
    double = HubDouble(port=port)
    double.answers = {
        "POST /session": {
            "employee": {"id": "oleg", "name": "Oleg", "roles": ["manager"]}, "is_admin": False, "project": "Nord",
            "language": "en", "hub_version": "1.0", "min_widget_version": "1.0.0", "ticket": "first",
            "may": {"settings": True, "call_back": True, "write": False}, "after": "3", "now": ago(),
            "popups": {"calls": True, "sound": False, "open_card_on_answer": True},
        },
        "POST /ticket": {"ticket": "next", "expires_in": 60, "after": "3"},
        "GET /card": card(),
        "GET /interactions/*": {"sentence": "", "link": "/console/x", "lines": [
            {"title": "Who could answer", "items": [{"text": "Anna: off shift", "tone": "bad"}]}]},
        "POST /clients/*": {"state": "done", "message": "Done, the client is yours.", "links": {}},
        "POST /tasks/*": {"state": "waiting", "message": "The CRM is busy.", "links": {}},
        "POST /call": {"state": "done", "message": "Your phone rings.", "links": {}},
    }  # fmt: skip
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(double.app(), "127.0.0.1", port, ready=ready.set_result))
    await asyncio.wait([ready, serving], timeout=15, return_when=asyncio.FIRST_COMPLETED)
    assert ready.done(), "the double does not listen"
    try:
        yield double
    finally:
        double.cut()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
