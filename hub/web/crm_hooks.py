"""The CRM's own webhooks: stored like any other, folded into the directory afterwards (H6)."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from hub.runtime.services import Services
from hub.web.webhooks import ACCEPTED, NOT_FOUND, Desk, send_answer

__all__ = ["CrmHooks"]


class CrmHooks:
    """Any method ``/crm/{project}/{connection}/{secret}``; answered within 2 s, or amoCRM switches it off."""

    def __init__(self, services: Services, desk: Desk) -> None:
        self._services, self._desk = services, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/")
        found = None
        if len(parts) == 5:
            found = self._services.projects.addresses.connection(parts[2], parts[3], parts[4])
        if found is None:
            await send_answer(send, NOT_FOUND)
        elif scope["method"] in ("HEAD", "OPTIONS"):
            await send_answer(send, ACCEPTED)
        else:
            answer = await self._desk.take(scope, receive, found.project, found.name)
            if answer is not None:
                await send_answer(send, answer)
