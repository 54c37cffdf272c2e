"""The sandbox put together: one account served over HTTP, ordered and looked at from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub_sandbox import serve_app

from .api import Api
from .clock import SandboxClock
from .dialogue import Dialogues
from .fault import Fault, FaultGate
from .hooks import Sender
from .messages import Sending
from .state import Account, ChannelState, Sitting

__all__ = ["Sandbox", "serve"]


class Sandbox:
    """One Wazzup account. ``account`` is what it holds, ``people`` plays clients and employees."""

    def __init__(self, account: Account | None = None) -> None:
        self.account = account or Account(channels=[ChannelState(pipeline="1")])
        self.clock = SandboxClock()
        self.sender = Sender(self.account)
        self.people = Dialogues(self.account, self.clock, self.sender)
        self.sending = Sending(self.account, self.clock)
        self.api = Api(self.account, self.clock, self.sender, self.people, self.sending)
        self.faults: list[Fault] = []
        inner = Starlette(routes=[*self.api.routes(), *self._control()])
        self.app = FaultGate(inner, take=self._take_fault)

    # --- from outside -------------------------------------------------------------------------------------------

    @property
    def channel(self) -> ChannelState:
        """The first channel."""
        return self.account.channels[0]

    def seat(self, *user_ids: str, channel: ChannelState | None = None, receives_new: bool = True) -> None:
        """Give employees a place on a channel, as a person does in the cabinet."""
        for id in user_ids:
            (channel or self.channel).staff[id] = Sitting(receives_new=receives_new)

    def fail_next(self, method: str, path: str, kind: Any = "status", **how: Any) -> None:
        """Order a fault (`Fault`) for the next request."""
        self.faults.append(Fault(method=method, path=path, kind=kind, **how))

    def sent(self) -> list[Mapping[str, Any]]:
        """The messages that came through the API or from employees, in order."""
        return [message for message in self.account.messages if message["isEcho"]]

    def _take_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.fits(method, path):
                fault.times -= 1
                return fault
        return None

    # --- the same over HTTP, for a sandbox that runs as a program of its own ------------------------------------

    def _control(self) -> list[Route]:
        return [
            Route("/_sandbox/state", self._state),
            Route("/_sandbox/client_writes", self._client_writes, methods=["POST"]),
            Route("/_sandbox/employee_writes", self._employee_writes, methods=["POST"]),
            Route("/_sandbox/no_reply_needed", self._no_reply_needed, methods=["POST"]),
            Route("/_sandbox/seat", self._seat, methods=["POST"]),
            Route("/_sandbox/fault", self._fault, methods=["POST"]),
        ]

    async def _state(self, request: Request) -> Response:
        account = self.account
        return JSONResponse(
            {
                "channels": [{"channelId": one.id, "transport": one.transport} for one in account.channels],
                "users": list(account.users.values()),
                "contacts": list(account.contacts.values()),
                "deals": list(account.deals.values()),
                "pipelines": account.pipelines,
                "messages": account.messages,
                "webhooksUri": account.subscription.uri,
            }
        )

    async def _client_writes(self, request: Request) -> Response:
        body = await request.json()
        channel = self.account.channel(body.pop("channelId", "")) or self.channel
        return JSONResponse(await self.people.client_writes(body.pop("chatId"), channel=channel, **body))

    async def _employee_writes(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse(
            await self.people.employee_writes(
                body["userId"], body["chatId"], body["text"], chat_type=body.get("chatType", "whatsapp")
            )
        )

    async def _no_reply_needed(self, request: Request) -> Response:
        body = await request.json()
        self.people.presses_no_reply_needed(body["chatId"], chat_type=body.get("chatType", "whatsapp"))
        return Response(status_code=204)

    async def _seat(self, request: Request) -> Response:
        body = await request.json()
        self.seat(*body["users"], receives_new=body.get("receivesNew", True))
        return Response(status_code=204)

    async def _fault(self, request: Request) -> Response:
        self.faults.append(Fault(**await request.json()))
        return Response(status_code=204)


@contextlib.contextmanager
def serve(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """Serve on a port of its own, in a thread; the sandbox and the address of its API (with ``/v3``)."""
    with serve_app(sandbox.app, host=host, port=port) as url:
        yield sandbox, f"{url}/v3"
