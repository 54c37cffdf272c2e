"""The door: the key, the limit, what is wrong with the account; then one method, uninterrupted."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.requests import Request

from hub_sandbox import Entry, FaultBook, Gateway, Silence

from .config import Switches
from .form import Ask, nested, parse_query
from .limiter import Limiter
from .reply import Problem, Reply, not_found, page, throttled
from .route import RouteTable, routes
from .world import World


class RetailGateway(Gateway[Ask, Reply]):
    """The ASGI application behind every path but ``/_sandbox``."""

    def __init__(self, world: World, limiter: Limiter, faults: FaultBook) -> None:
        super().__init__(faults)
        self._world, self._limiter = world, limiter
        self._table = RouteTable(routes())

    @property
    def switches(self) -> Switches:
        return self._world.switches

    async def read(self, request: Request) -> Ask:
        raw_query = request.scope["query_string"].decode("latin-1")
        ask = Ask(method=request.method, path=request.scope["path"], raw_query=raw_query, query=parse_query(raw_query))
        if request.method == "POST":
            async with request.form() as form:
                pairs = [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
            ask.form = nested(pairs)
        ask.key = request.headers.get("x-api-key", "") or ask.parameter("apiKey")
        return ask

    def name_of(self, ask: Ask) -> str:
        template, _, _ = self._table.find(ask.path)
        return f"{ask.method} {template.replace('{}', '{id}')}"

    def is_write(self, ask: Ask) -> bool:
        return ask.method == "POST"

    def always(self) -> dict[str, str]:
        return {"Server": "nginx"}

    async def judge(self, ask: Ask, entry: Entry) -> Reply | Silence:
        try:
            self._admit(ask)
        except Problem as refused:
            return refused.reply
        if self.switches.account_is_gone:
            return (
                page(405, "405 Not Allowed") if ask.method == "POST" else Problem(400, "Account does not exist.").reply
            )
        if not self._limiter.admits(ask.key, is_telephony=ask.path.startswith("/api/v5/telephony/")):
            return throttled()
        return await self.struck(ask, entry, lambda: self._apply(ask))

    def _admit(self, ask: Ask) -> None:
        """The key: header, or parameter of the query or the body."""
        if not ask.key:
            raise Problem(403, '"apiKey" is missing.')
        if ask.key not in self._world.keys:
            raise Problem(403, 'Wrong "apiKey" value.')

    def _apply(self, ask: Ask) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                _, ask.parts, found = self._table.find(ask.path)
                if not found:
                    raise not_found("Method not found")
                route = found.get(ask.method)
                if route is None:
                    raise Problem(405, "Method Not Allowed")
                if route.scope and route.scope not in self._world.keys[ask.key].scopes:
                    raise Problem(403, "Access denied.")
                return route.handler(self._world, ask)
            except Problem as refused:
                return refused.reply

    # --- what the vendor says -------------------------------------------------------------------------------------

    def throttled(self) -> Reply:
        return throttled()

    def broken(self, status: int) -> Reply:
        return page(status, f"{status} Ordered by a fault")
