"""Whether the process lives, and whether it can work."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hub.runtime.services import Services

__all__ = ["healthz", "is_near", "readyz"]

#: seconds that the database may take to show that it can be written
WRITE_TIME = 2.0


def is_near(request: Request) -> bool:
    """True for a caller of this machine or its private network that came without a proxy.

    What these pages tell (projects, accounts) is for the people who run the hub (H8).
    """
    if any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return address.is_private or address.is_loopback


async def healthz(request: Request) -> Response:
    """GET /healthz: the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """GET /readyz: 200 if requests can be accepted, else 503; the details are for callers nearby.

    A CRM that is down, or a plugin that is broken, does not make the hub unready: the rest works (H1, H4). Nor does a
    database that is away where the spool takes what comes in: whoever sent nothing here any more would lose calls.

    Among several processes one that begins is not ready before it has its first copy of the directory: it would tell
    the telephony that it does not know callers whom the others know. It is waited for `HUB_FIRST_COPY_SECONDS` at most,
    and not while the database is away, since then no copy comes.
    """
    services: Services = request.app.state.services
    is_writable = await _is_writable(services)
    spool = services.intake.spool
    if spool is None:
        is_ready = is_writable
    else:
        is_ready = not spool.is_full or (is_writable and not spool.waiting)
    if services.fleet is not None and is_writable and not services.fleet.copies.may_answer:
        is_ready = False
    status = 200 if is_ready else 503
    if not is_near(request):
        return JSONResponse({"ready": is_ready}, status_code=status)
    return JSONResponse({"ready": is_ready, **_details(services, is_writable)}, status_code=status)


async def _is_writable(services: Services) -> bool:
    def touch(conn: Connection) -> None:
        # an empty transaction takes the writer's turn and the file's lock, and costs no fsync
        conn.exec_driver_sql("SELECT 1")

    try:
        async with asyncio.timeout(WRITE_TIME):
            await services.store.write(touch)
    except Exception:  # noqa: BLE001 - whatever the database raises, the answer is "no"
        return False
    return True


def _copy(services: Services) -> dict[str, Any] | None:
    """How far the first copy of the directory is; None where the directory is this process's alone."""
    if services.fleet is None:
        return None
    copies = services.fleet.copies
    if copies.is_complete:
        return {"is_complete": True}
    lacking = copies.lacking
    return {
        "is_complete": False,
        "lacks": "nobody could be asked yet"
        if lacking is None
        else [
            {"project": project, "connection": connection, "changes": changes}
            for (project, connection), changes in sorted(lacking.items())
        ],
        "ready_anyway_in_seconds": round(copies.waits_for),
    }


def _details(services: Services, is_writable: bool) -> dict[str, Any]:
    connections, spool = [], services.intake.spool
    for project in services.projects.all():
        for found in project.connections:
            account = services.accounts.get((project.name, found.name))
            connections.append(
                {
                    "project": project.name,
                    "connection": found.name,
                    "crm": found.row.sink,
                    "health": account.health.value if account else found.row.status.value,
                    "reason": account.health_reason if account else found.row.status_reason,
                    "is_imported": account.is_imported if account else found.row.imported_at is not None,
                    "headroom": round(account.pacer.headroom, 3) if account else None,
                }
            )
    return {
        "store": "ok" if is_writable else "the database cannot be written",
        "spool": None if spool is None else {"waiting": spool.waiting, "is_full": spool.is_full},
        "directory": _copy(services),
        "plugins": sorted(services.plugins.names),
        "broken_plugins": {failure.plugin: failure.problem for failure in services.plugins.failures},
        "projects": {
            project.name: {"problem": project.problem, "problems": dict(project.problems)}
            for project in services.projects.all()
        },
        "connections": connections,
    }
