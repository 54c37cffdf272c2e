"""The cabinet over HTTP, for demonstrations: ``POST /_sandbox/play`` makes things happen, the rest shows them.

A step of ``play`` is an object with ``do``: ``chat`` (``visitor``, ``agent``, ``lines`` as [who, text], ``rate``, and
anything of a chat's page, utm, city, department), ``offline`` (``visitor``, ``text``), ``call`` (``visitor``,
``phone``, ``agent``, ``steps``, ``type``). Told is what the vendor would complain of in the hub's answers
(``problems``), and how many webhooks had no answer within its time (``unanswered``): it does not send them again (?).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .cabinet import Cabinet, agent_of, page_of
from .story import Visitor

__all__ = ["build_app"]


def build_app(cabinet: Cabinet) -> Starlette:
    """The control side of ``cabinet``."""

    async def set_hook(request: Request) -> JSONResponse:
        cabinet.hook = str((await request.json())["url"])
        return JSONResponse({"hook": cabinet.hook})

    async def play(request: Request) -> JSONResponse:
        before = len(cabinet.deliveries)
        try:
            steps = await request.json()
            for step in steps:
                await _play(cabinet, step)
        except (KeyError, TypeError, ValueError, json.JSONDecodeError) as err:
            return JSONResponse({"error": f"{type(err).__name__}: {err}"}, status_code=400)
        sent = cabinet.deliveries[before:]
        problems = [f"{one.event}: {problem}" for one in sent if one.status is not None for problem in one.problems]
        unanswered = sum(one.status is None for one in sent)
        return JSONResponse({"played": len(steps), "problems": problems, "unanswered": unanswered})

    async def deliveries(_: Request) -> JSONResponse:
        return JSONResponse(
            [
                {"event": one.event, "status": one.status, "seconds": one.seconds, "problems": list(one.problems)}
                for one in cabinet.deliveries
            ]
        )

    async def panels(_: Request) -> JSONResponse:
        return JSONResponse({str(story.id): story.panel for story in cabinet.stories.values()})

    return Starlette(
        routes=[
            Route("/_sandbox/hook", set_hook, methods=["POST"]),
            Route("/_sandbox/play", play, methods=["POST"]),
            Route("/_sandbox/deliveries", deliveries),
            Route("/_sandbox/panels", panels),
        ]
    )


async def _play(cabinet: Cabinet, step: dict[str, Any]) -> None:
    if "at" in step:
        cabinet.now = datetime.fromisoformat(step["at"])
    visitor = Visitor(**step["visitor"])
    told: dict[str, Any] = {key: step[key] for key in ("utm", "city", "department", "user_token", "ga") if key in step}
    if "page" in step:
        told["page"] = page_of(step["page"])
    match step["do"]:
        case "chat":
            lines = [(str(who), str(text)) for who, text in step["lines"]]
            story = cabinet.open(visitor, lines[0][1], **told)
            agent = agent_of(step["agent"]) if step.get("agent") else None
            if agent:
                await cabinet.accept(story, agent)
            for who, text in lines[1:]:
                cabinet.now += timedelta(seconds=20)
                cabinet.write(story, agent if who == "agent" else None, text)
            if step.get("introduces"):
                await cabinet.introduce(story, **step["introduces"])
            await cabinet.finish(story, step.get("rate"))
        case "offline":
            await cabinet.leave_message(visitor, str(step["text"]), **told)
        case "call":
            await cabinet.call(
                visitor,
                str(step["phone"]),
                *step["steps"],
                type=step.get("type", "callback"),
                agent=agent_of(step["agent"]),
            )
        case other:
            raise ValueError(f"there is no {other!r} to do: chat, offline or call")
