"""The door of the vendor's server: authorization, the limit and its ban, the account's moods."""

from __future__ import annotations

import uuid

from starlette.requests import Request

from hub_sandbox import Entry, FaultBook, Gateway, Silence

from .ask import Ask
from .config import Switches
from .delivery import Deliverer
from .frontend import FrontEnd
from .limiter import Limiter, Verdict
from .oauth import OAuth
from .reply import Problem, Reply, problem
from .route import RouteTable, routes
from .world import World

_BAN_PAGE = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>"
    b"\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_WRITES = ("POST", "PATCH", "PUT", "DELETE")


class AmoGateway(Gateway[Ask, Reply]):
    """The ASGI application behind every path but ``/_sandbox``."""

    def __init__(self, world: World, oauth: OAuth, limiter: Limiter, faults: FaultBook, deliverer: Deliverer) -> None:
        super().__init__(faults)
        self._world = world
        self._oauth = oauth
        self._limiter = limiter
        self._deliverer = deliverer
        self.front_end = FrontEnd(world, oauth)
        self._table = RouteTable(routes())

    @property
    def switches(self) -> Switches:
        return self._world.switches

    async def read(self, request: Request) -> Ask:
        return Ask(
            method=request.method,
            path=request.scope["path"],
            raw_query=request.scope["query_string"].decode("latin-1"),
            raw_body=await request.body(),
            origin=f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}",
            headers=dict(request.headers),
        )

    def name_of(self, ask: Ask) -> str:
        template, _, _ = self._table.find(ask.path)
        return f"{ask.method} {template.replace('{}', '{id}')}"

    def is_write(self, ask: Ask) -> bool:
        return ask.method in _WRITES

    def always(self) -> dict[str, str]:
        return {"X-Request-Id": uuid.uuid4().hex, "Server": "nginx"}

    async def judge(self, ask: Ask, entry: Entry) -> Reply | Silence:
        refusal = self._admit(ask)
        entry["client_id"] = ask.client_id
        if refusal is not None:
            return refusal
        return await self.struck(ask, entry, lambda: self._apply(ask))

    def _admit(self, ask: Ask) -> Reply | None:
        """Ban, move, authorization, rate limit, unpaid: what refuses a request at the door."""
        switches = self.switches
        if ask.path.startswith("/oauth"):
            if any(banned.encode() in ask.raw_body for banned in self._limiter.banned):
                return _ban()
            if ask.path.rstrip("/").endswith("/access_token") and self._is_moved(ask):
                return problem(404, "Account not found")
            return None
        if not ask.path.startswith("/api/"):
            return None
        grant = self._oauth.authorize(ask.headers.get("authorization", "")) or self.front_end.grant(ask)
        if grant is None or self._is_moved(ask):
            return problem(401, "Invalid user name or password")
        ask.client_id, ask.user_id = grant.client_id, grant.user_id
        match self._limiter.admit(grant.client_id):
            case Verdict.BANNED:
                return _ban()
            case Verdict.THROTTLED:
                return _throttled(switches.retry_after)
            case Verdict.ADMITTED:
                pass
        if switches.unpaid:
            return problem(402, "Account is not paid")
        stand_in = ask.headers.get("x-context-user-id", "")
        if stand_in.isdigit() and self._world.is_active(int(stand_in)):
            ask.user_id = int(stand_in)
        return None

    def _is_moved(self, ask: Ask) -> bool:
        moved_to = self._world.switches.moved_to
        return moved_to is not None and ask.headers.get("host") != moved_to

    def _apply(self, ask: Ask) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                return self._dispatch(ask)
            except Problem as refused:
                return refused.reply
            finally:
                self._deliverer.take(self._world.journal.take_hooks())

    def _dispatch(self, ask: Ask) -> Reply:
        match ask.method, ask.path.rstrip("/"):
            case "GET", "/oauth":
                return self._oauth.consent(ask)
            case "POST", "/oauth2/access_token":
                return self._oauth.token(ask)
            case "GET", "/oauth2/account/current/subdomain":
                return self._oauth.current_subdomain(ask)
        page_reply = self.front_end.answer(ask)
        if page_reply is not None:
            return page_reply
        _, ask.params, methods = self._table.find(ask.path)
        if not methods:
            return problem(404, f"Cannot {ask.method} {ask.origin}{ask.path}!")
        route = methods.get(ask.method)
        if route is None:
            reply = problem(405, "Method not allowed")
            reply.headers["Allow"] = ", ".join(sorted(methods))
            return reply
        if route.is_admin and not self._world.users[ask.user_id].is_admin:
            return problem(403, "Access denied: the method is for administrators")
        reply = route.handler(self._world, ask)
        assert isinstance(reply, Reply)
        return reply

    # --- what the vendor says -------------------------------------------------------------------------------------

    def throttled(self) -> Reply:
        return _throttled(self.switches.retry_after)

    def banned(self, ask: Ask) -> Reply:
        self._limiter.ban(ask.client_id)
        return _ban()

    def broken(self, status: int) -> Reply:
        if status == 429:
            return _throttled(None)
        if status >= 500:
            page = f"<html><head><title>{status}</title></head><body><hr><center>nginx</center></body></html>"
            return Reply(status, page.encode(), "text/html")
        return problem(status, "Ordered by a fault")


def _throttled(retry_after: int | None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Reply(429, b"Too many requests", "text/plain; charset=utf-8", headers)


def _ban() -> Reply:
    return Reply(403, _BAN_PAGE, "text/html")
