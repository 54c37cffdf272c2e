"""The door: tokens, calls in flight, credits; then one handler, uninterrupted."""

from __future__ import annotations

import uuid
from collections import deque

from starlette.requests import Request

from hub_sandbox import Entry, FaultBook, Gateway, Silence

from .ask import Ask
from .config import Switches
from .notifications import Deliverer
from .oauth import OAuth
from .reply import Refusal, Reply, answer, told
from .route import Route, cost_of, find_route, is_heavy, may
from .world import World

_DAY = 86400
_WRITES = ("POST", "PATCH", "PUT", "DELETE")
#: POST that only asks
_READS = ("/coql", "/oauth")


class ZohoGateway(Gateway[Ask, Reply]):
    """An ASGI application in front of one organisation."""

    def __init__(self, world: World, oauth: OAuth, faults: FaultBook, deliverer: Deliverer) -> None:
        super().__init__(faults)
        self._world, self._oauth, self._deliverer = world, oauth, deliverer
        self.forget()

    def forget(self) -> None:
        super().forget()
        self.in_flight = self.heavy_in_flight = self.most_in_flight = self.violations = 0
        self._spent: deque[tuple[float, int]] = deque()
        self.credits = 0

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
        return f"{ask.method} {ask.path}"

    def is_write(self, ask: Ask) -> bool:
        return ask.method in _WRITES and not any(part in ask.path for part in _READS)

    def always(self) -> dict[str, str]:
        return {"X-Request-Id": uuid.uuid4().hex}

    async def judge(self, ask: Ask, entry: Entry) -> Reply | Silence:
        switches = self.switches
        if not ask.path.startswith("/crm/"):
            return await self.struck(ask, entry, lambda: self._apply(ask, None))
        with self._world.lock:
            try:
                route = self._admit(ask)
            except Refusal as refused:
                return refused.reply
        heavy = is_heavy(route, ask)
        is_full = switches.concurrency is not None and self.in_flight >= switches.concurrency
        if heavy and switches.sub_concurrency is not None:
            is_full = is_full or self.heavy_in_flight >= switches.sub_concurrency
        cost = cost_of(route, ask)
        if is_full or not self._spend(cost):
            self.violations += 1
            return self.throttled()
        self.in_flight += 1
        self.heavy_in_flight += heavy
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            outcome = await self.struck(ask, entry, lambda: self._apply(ask, route))
        finally:
            self.in_flight -= 1
            self.heavy_in_flight -= heavy
        if isinstance(outcome, Reply) and switches.credits is not None and self._used() * 2 > switches.credits:
            outcome.headers["X-API-CREDITS-REMAINING"] = str(max(0, switches.credits - self._used()))
        return outcome

    def _admit(self, ask: Ask) -> Route:
        access = self._oauth.find(ask.headers.get("authorization", ""))
        if "authorization" not in ask.headers:
            raise Refusal(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        if access is None:
            raise Refusal(401, "INVALID_TOKEN", "invalid oauth token")
        ask.user_id, ask.client_id = access.user_id, self._oauth.credentials.client_id
        route = find_route(ask)
        if not may(route, ask, access.scopes):
            raise Refusal(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
        return route

    def _used(self) -> int:
        now = self._world.clock.now()
        while self._spent and now - self._spent[0][0] >= _DAY:
            self._spent.popleft()
        return sum(cost for _, cost in self._spent)

    def _spend(self, cost: int) -> bool:
        limit = self._world.switches.credits
        if limit is not None and self._used() + cost > limit:
            return False
        self._spent.append((self._world.clock.now(), cost))
        self.credits += cost
        return True

    def _apply(self, ask: Ask, route: Route | None) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                return self._accounts(ask) if route is None else route.handler(self._world, ask)
            except Refusal as refused:
                return refused.reply
            finally:
                self._deliverer.take()

    def _accounts(self, ask: Ask) -> Reply:
        match ask.method, ask.path.rstrip("/"):
            case (("GET" | "POST"), "/oauth/v2/auth"):
                return self._oauth.consent(ask)
            case "POST", "/oauth/v2/token":
                return self._oauth.token(ask)
            case "POST", "/oauth/v2/token/revoke":
                return self._oauth.revoke(ask)
        return Reply(404, b"<html><body>Not found</body></html>", "text/html;charset=UTF-8")

    # --- what the vendor says -----------------------------------------------------------------------------------

    def throttled(self) -> Reply:
        return answer(told("TOO_MANY_REQUESTS", "You have exceeded the number of calls allowed"), 429)

    def broken(self, status: int) -> Reply:
        if status == 429:
            return self.throttled()
        if status == 500:
            return answer(told("INTERNAL_ERROR", "Internal Server Error"), 500)
        if status > 500:
            return Reply(status, f"<html><body>{status}</body></html>".encode(), "text/html")
        return answer(told("INVALID_DATA", "ordered by a fault"), status)
