"""The v3 routes, as the reference tells them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .clock import SandboxClock, stamp
from .dialogue import Dialogues
from .entities import delete_many, page, put_contacts, put_deals, put_pipelines, put_users
from .hooks import Sender
from .messages import Sending
from .reply import Refusal
from .state import Account

__all__ = ["Api"]

Handler = Callable[[Request], Awaitable[Response]]

#: most requests in a window of so many seconds
_MOST, _WINDOW = 500, 5
#: what a sidecar key may ask
_SIDECAR = {
    ("GET", "/v3/channels"),
    ("POST", "/v3/message"),
    ("GET", "/v3/webhooks"),
    ("PATCH", "/v3/webhooks"),
    ("GET", "/v3/templates/whatsapp"),
}


class Api:
    """One account's API."""

    def __init__(
        self, account: Account, clock: SandboxClock, sender: Sender, dialogues: Dialogues, sending: Sending
    ) -> None:
        self._account, self._clock = account, clock
        self._sender, self._dialogues, self._sending = sender, dialogues, sending
        self._window, self._asked = 0, 0
        #: the limit as in production
        self.is_limited = True
        #: error codes in camelCase; the docs print both
        self.is_camel = False
        #: a message that came through the API comes back as an echo; vendor texts disagree, live users see it
        self.echoes = True
        #: (method, path) of every request, in order
        self.asked: list[tuple[str, str]] = []
        #: what was asked of each frame that was opened, in order
        self.framed: list[dict[str, Any]] = []

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/v3/channels", self._channels),
            ("GET", "/v3/webhooks", self._webhooks),
            ("PATCH", "/v3/webhooks", self._set_webhooks),
            ("GET", "/v3/users", self._users),
            ("POST", "/v3/users", self._putting(put_users)),
            ("GET", "/v3/users/{id}", self._getting("users")),
            ("DELETE", "/v3/users/{id}", self._deleting("users")),
            ("PATCH", "/v3/users/bulk_delete", self._deleting_many("users")),
            ("GET", "/v3/contacts", self._paging("contacts")),
            ("POST", "/v3/contacts", self._putting(put_contacts)),
            ("PATCH", "/v3/contacts/bulk_delete", self._deleting_many("contacts")),
            ("GET", "/v3/contacts/{id}", self._getting("contacts")),
            ("DELETE", "/v3/contacts/{id}", self._deleting("contacts")),
            ("GET", "/v3/deals", self._paging("deals")),
            ("POST", "/v3/deals", self._putting(put_deals)),
            ("PATCH", "/v3/deals/bulk_delete", self._deleting_many("deals")),
            ("GET", "/v3/deals/{id}", self._getting("deals")),
            ("DELETE", "/v3/deals/{id}", self._deleting("deals")),
            ("GET", "/v3/pipelines", self._pipelines),
            ("POST", "/v3/pipelines", self._putting(put_pipelines)),
            ("POST", "/v3/message", self._message),
            ("PATCH", "/v3/message/{id}", self._edit),
            ("DELETE", "/v3/message/{id}", self._delete),
            ("GET", "/v3/templates/whatsapp", self._templates),
            ("POST", "/v3/iframe", self._iframe),
            ("GET", "/v3/unanswered/{id}", self._unanswered),
        ]
        return [Route(path, self._guarded(handler), methods=[method]) for method, path, handler in table]

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            self.asked.append((request.method, request.url.path))
            try:
                self._admit(request)
                return await handler(request)
            except Refusal as refusal:
                is_message = request.url.path.startswith("/v3/message")
                return refusal.response(is_camel=self.is_camel, is_message_route=is_message)

        return answer

    def _admit(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self._account.api_key}":
            raise Refusal(401)
        if self._account.is_sidecar and (request.method, request.url.path) not in _SIDECAR:
            raise Refusal(403, "FORBIDDEN")
        window = int(self._clock.now().timestamp()) // _WINDOW
        if window != self._window:
            self._window, self._asked = window, 0
        self._asked += 1
        if self.is_limited and self._asked > _MOST:
            raise Refusal(429)

    # --- channels, webhooks -------------------------------------------------------------------------------------

    async def _channels(self, request: Request) -> Response:
        rows = [
            {"channelId": one.id, "transport": one.transport, "plainId": one.plain_id, "state": one.state,
             "name": one.name or one.plain_id}
            for one in self._account.channels
        ]  # fmt: skip
        return JSONResponse(rows)

    async def _webhooks(self, request: Request) -> Response:
        known = self._account.subscription
        subscriptions = {
            "messagesAndStatuses": known.messages_and_statuses,
            "contactsAndDealsCreation": known.contacts_and_deals,
            "channelsUpdates": known.channels,
            # told under another name than it is set
            "wabaTemplatesStatus": known.templates,
        }
        return JSONResponse({"webhooksUri": known.uri or None, "subscriptions": subscriptions})

    async def _set_webhooks(self, request: Request) -> Response:
        body = await _body(request)
        known = self._account.subscription
        uri = body.get("webhooksUri", known.uri)
        parts = urlsplit(str(uri))
        if not (isinstance(uri, str) and len(uri) <= 200 and parts.scheme in ("http", "https") and parts.netloc):
            raise Refusal(400, "URI_NOT_VALID", "The address is not valid")
        status = await self._sender.test(uri)
        if status != 200:
            raise Refusal(400, "TEST_POST_NOT_PASSED", "The test request was not answered with 200", {"status": status})
        wanted = body.get("subscriptions") or {}
        known.uri = uri
        known.messages_and_statuses = wanted.get("messagesAndStatuses", known.messages_and_statuses)
        known.channels = wanted.get("channelsUpdates", known.channels)
        known.templates = wanted.get("templateStatus", known.templates)
        if not self._account.is_sidecar:
            known.contacts_and_deals = wanted.get("contactsAndDealsCreation", known.contacts_and_deals)
        # the docs print just this, which is no JSON
        return Response(b"{ ok }", media_type="application/json")

    # --- entities -----------------------------------------------------------------------------------------------

    def _putting(self, put: Callable[[Account, Any], None]) -> Handler:
        async def handler(request: Request) -> Response:
            put(self._account, await _json(request))
            return Response(status_code=200)

        return handler

    def _rows(self, kind: str) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = getattr(self._account, kind)
        return rows

    def _getting(self, kind: str) -> Handler:
        async def handler(request: Request) -> Response:
            found = self._rows(kind).get(request.path_params["id"])
            if found is None:
                raise Refusal(404)
            return JSONResponse(found)

        return handler

    def _paging(self, kind: str) -> Handler:
        async def handler(request: Request) -> Response:
            return JSONResponse(page(self._rows(kind), request.query_params.get("offset", "0")))

        return handler

    def _deleting(self, kind: str) -> Handler:
        async def handler(request: Request) -> Response:
            if self._rows(kind).pop(request.path_params["id"], None) is None:
                raise Refusal(404)
            return Response(status_code=200)

        return handler

    def _deleting_many(self, kind: str) -> Handler:
        async def handler(request: Request) -> Response:
            return JSONResponse(delete_many(self._rows(kind), await _json(request)))

        return handler

    async def _users(self, request: Request) -> Response:
        rows = sorted(self._account.users.values(), key=lambda user: user["name"])
        return JSONResponse([{"id": user["id"], "name": user["name"]} for user in rows])

    async def _pipelines(self, request: Request) -> Response:
        return JSONResponse(self._account.pipelines)

    # --- messages -----------------------------------------------------------------------------------------------

    async def _message(self, request: Request) -> Response:
        body = await _json(request)
        message = await self._sending.take(body)
        answer = {"messageId": message["messageId"], "chatId": message["chatId"]}
        return JSONResponse(answer, status_code=201, background=BackgroundTask(self._follow, message))

    async def _follow(self, message: dict[str, Any]) -> None:
        """The echo, and that it was sent; a test orders what comes after."""
        if self.echoes and self._account.subscription.messages_and_statuses:
            await self._sender.send({"messages": [message]})
        await self._dialogues.status(message["messageId"], "sent")

    def _own_message(self, request: Request) -> dict[str, Any]:
        id = request.path_params["id"]
        found = next((one for one in self._account.messages if one["messageId"] == id and one["isEcho"]), None)
        if found is None:
            raise Refusal(400, "MESSAGES_NOT_FOUND", "The message is not found")
        return found

    async def _edit(self, request: Request) -> Response:
        message, body = self._own_message(request), await _body(request)
        if bool(body.get("text")) == bool(body.get("contentUri")):
            raise Refusal(400, "MESSAGES_ONLY_TEXT_OR_CONTENT", "Either text or content")
        message |= {key: body[key] for key in ("text", "contentUri") if body.get(key)}
        return Response(status_code=200)

    async def _delete(self, request: Request) -> Response:
        self._account.messages.remove(self._own_message(request))
        return Response(status_code=200)

    async def _templates(self, request: Request) -> Response:
        return JSONResponse(self._account.templates)

    # --- frame, counter -----------------------------------------------------------------------------------------

    async def _iframe(self, request: Request) -> Response:
        body = await _body(request)
        user = body.get("user")
        user = user if isinstance(user, dict) else {}
        if user.get("id") not in self._account.users:
            # the nested form of an error (reference 2.1)
            return JSONResponse({"error": {"code": "USER_NOT_FOUND"}}, status_code=400)
        if body.get("scope") not in ("global", "card") or (body["scope"] == "card" and not body.get("filter")):
            raise Refusal(400, "VALIDATION_ERROR", "scope and filter do not fit", {"fields": ["scope", "filter"]})
        self.framed.append(body)
        return JSONResponse({"url": f"https://integrations.wazzup24.com/chat/{user['id']}/{len(self.asked)}"})

    async def _unanswered(self, request: Request) -> Response:
        user = request.path_params["id"]
        if user not in self._account.users:
            raise Refusal(404)
        count, last = 0, None
        for chat in self._account.chats.values():
            contact = self._account.contact_of(chat)
            if chat.unanswered and contact is not None and contact["responsibleUserId"] == user:
                count += chat.unanswered
                last = max(filter(None, (last, chat.last_inbound)), default=None)
        return JSONResponse(
            {"counterV2": count, "type": "red" if count else None, "lastMsgDateTime": stamp(last) if last else None}
        )


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise Refusal(400, "VALIDATION_ERROR", "The body is no JSON") from None


async def _body(request: Request) -> dict[str, Any]:
    found = await _json(request)
    if not isinstance(found, dict):
        raise Refusal(400, "VALIDATION_ERROR", "An object is expected")
    return found
