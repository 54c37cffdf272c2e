"""``POST /widget/api/ticket`` and ``GET /widget/api/live``: the stream of what pops up (DESIGN 8).

A browser's event stream cannot send headers, so it brings a ticket that was fetched with the vendor's token. A ticket
opens streams for a minute, whichever process answers and whatever was restarted meanwhile; a stream that is open
stays open. Whoever was cut off fetches another and says what they saw last.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hub.core.popup import Preferences
from hub.core.records import EmployeeId
from hub.core.text import Language
from hub.errors import ConfigurationError
from hub.language import LANGUAGES, as_language
from hub.runtime.live import Live, LiveEvent, Viewer
from hub.runtime.services import Services
from hub.store import events, popup_preferences, popups
from hub.web.widget.refusal import Refusal
from hub.web.widget.visitor import Visitor

__all__ = ["TICKET_LIFE", "dismiss", "live", "make_ticket", "new_ticket", "ticket", "wanted_popups"]

log = logging.getLogger(__name__)

TICKET_LIFE = timedelta(seconds=60)
#: seconds between comments that keep the connection from being taken for dead
PING = 20
#: seconds that a reader may not read
SLOWEST = 30

_USE = "widget stream"


async def new_ticket(visitor: Visitor) -> dict[str, Any]:
    """``{ticket, expires_in, after}``: what a browser needs to open its stream."""
    services = visitor.services
    return {
        "ticket": make_ticket(services, visitor.project.name, visitor.connection.name, visitor.employee),
        "expires_in": int(TICKET_LIFE.total_seconds()),
        "after": str(await services.store.read(events.last_id)),
    }


def make_ticket(services: Services, project: str, connection: str, employee: EmployeeId | None) -> str:
    """Lets whoever has it open streams of this employee for `TICKET_LIFE`; readable by the hub only."""
    told = {
        "use": _USE,
        "project": project,
        "connection": connection,
        "employee": employee,
        "until": (services.clock.now() + TICKET_LIFE).isoformat(),
    }
    return services.cipher.encrypt_json(told).decode()


async def ticket(visitor: Visitor) -> Response:
    """A new ticket for whoever has a token."""
    return JSONResponse(await new_ticket(visitor))


async def wanted_popups(visitor: Visitor) -> dict[str, bool]:
    """What the visitor chose to see, by kind, and whether it may be heard."""
    employee, project = visitor.employee, visitor.project.name
    if employee is None:
        return asdict(Preferences())
    return asdict(await visitor.services.store.read(lambda conn: popup_preferences.get(conn, project, employee)))


async def dismiss(visitor: Visitor) -> Response:
    """``POST /popups/{key}/dismiss``: the employee has dealt with it; it goes from all of their tabs."""
    me, project, key = visitor.me, visitor.project.name, visitor.path("key")
    now = visitor.services.clock.now()
    await visitor.services.store.write(lambda conn: popups.dismiss(conn, project, key, (me,), now))
    visitor.services.live.wake()
    return JSONResponse({})


async def live(request: Request) -> Response:
    """The stream; 401 for a ticket that is old or not ours."""
    services: Services = request.app.state.services
    viewer = _viewer(services, request.query_params.get("ticket", ""), request.query_params.get("lang", ""))
    after = _number(request.headers.get("last-event-id", "")) or _number(request.query_params.get("after", ""))
    return _Stream(
        _told(services.live, viewer, after),
        ping=PING,
        send_timeout=SLOWEST,
        sep="\n",
        headers={"Cache-Control": "no-store"},
    )


class _Stream(EventSourceResponse):
    """A stream whose reader went to sleep with the connection open ends quietly: nothing is wrong with the hub."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a tab did not read for %d s and was cut off", SLOWEST, extra={"action": "live.cut_off"})


async def _told(streams: Live, viewer: Viewer, after: int) -> AsyncIterator[ServerSentEvent]:
    async with contextlib.aclosing(streams.events(viewer, after)) as events_of:
        async for event in events_of:
            yield _sent(event)


def _sent(event: LiveEvent) -> ServerSentEvent:
    return ServerSentEvent(data=event.data, event=event.kind, id=str(event.id) if event.id else None)


def _viewer(services: Services, text: str, language: str) -> Viewer:
    """Whose ticket it is. Raises Refusal."""
    try:
        told = services.cipher.decrypt_json(text.encode("ascii", "replace"))
    except (ConfigurationError, ValueError):
        raise Refusal("bad_ticket") from None
    if told.get("use") != _USE or datetime.fromisoformat(told["until"]) <= services.clock.now():
        raise Refusal("bad_ticket")
    project = services.projects.find(told["project"])
    if project is None or project.connection(told["connection"]) is None:
        raise Refusal("bad_ticket")
    policy = project.policy
    employee = EmployeeId(told["employee"]) if told["employee"] else None
    if employee is not None and (policy is None or employee not in policy.people.by_id):
        raise Refusal("bad_ticket")
    otherwise: Language = policy.language if policy else "en"
    return Viewer(
        project=project.name,
        connection=told["connection"],
        employee=employee,
        language=as_language(language, otherwise) if language in LANGUAGES else otherwise,
    )


def _number(text: str) -> int:
    """An event's id as the browser remembers it; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
