"""One call of the widget: who looks, in which project, in which language; and the gate that lets them in (U1, H8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.core.policy import Policy
from hub.core.records import EmployeeId, UserId
from hub.core.text import Language
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import HubError
from hub.language import LANGUAGES, Translator, as_language, translator
from hub.runtime.services import Services
from hub.web.limits import Rate, Unread, read_body
from hub.web.widget.account import EmbeddedAccount, EmbeddedAccounts
from hub.web.widget.refusal import Refusal, refusal_of, show_refusal
from hub.web.widget.token import Claims, audience_of, peek, read_token

__all__ = ["Gate", "Visitor", "open_route", "route", "visit_route"]

log = logging.getLogger(__name__)

#: how much one call may send
BODY_LIMIT = 65_536
#: how long it may take to send it
BODY_TIME = timedelta(seconds=10)
#: calls of one employee in a minute: a card that is re-read with every event of a busy morning stays far below
MOST_A_MINUTE = 300
#: refused calls from one address in a minute
MOST_REFUSALS = 60

Method: TypeAlias = Literal["GET", "POST", "PUT"]
Handler: TypeAlias = Callable[["Visitor"], Awaitable[Response]]
OpenHandler: TypeAlias = Callable[[Request], Awaitable[Response]]

_PREFLIGHT = {
    "Access-Control-Allow-Headers": "X-Auth-Token, Content-Type, X-Requested-With",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whoever looks at the widget, as the CRM vouches for them, and what they ask."""

    request: Request
    services: Services
    project: LiveProject
    connection: LiveConnection
    #: the CRM's user
    user: UserId
    #: None for an administrator of the account whom the policy does not know as an employee
    employee: EmployeeId | None
    #: administrator of the CRM account or, by the policy, of the project
    is_admin: bool
    language: Language
    #: the JSON object that was sent; {} for a GET
    body: Mapping[str, Any]

    @property
    def t(self) -> Translator:
        """Speaks the visitor's language."""
        return translator(self.language)

    @property
    def policy(self) -> Policy:
        """The policy in force. Raises Refusal while there is none."""
        if self.project.policy is None:
            raise Refusal("no_policy")
        return self.project.policy

    @property
    def me(self) -> EmployeeId:
        """The employee. Raises Refusal for an administrator who is none."""
        if self.employee is None:
            raise Refusal("unknown_user")
        return self.employee

    @property
    def roles(self) -> frozenset[str]:
        """By the policy, on no particular channel; empty for who is no employee."""
        policy = self.project.policy
        return frozenset(policy.roles_on(self.employee, "")) if policy and self.employee else frozenset()

    def query(self, name: str) -> str:
        """A value of the query, trimmed; "" if it was not given."""
        return self.request.query_params.get(name, "").strip()

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def text(self, name: str, *, most: int = 1000) -> str:
        """A text of the body, trimmed; "" if it was not sent. Raises Refusal."""
        value = self.body.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > most:
            raise Refusal("bad_field", field=name)
        return value.strip()


class Gate:
    """Lets the right ones in: token, account, page, person; and no more often than a person would."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.accounts = EmbeddedAccounts(services)
        minute = timedelta(minutes=1)
        self._calls = Rate(MOST_A_MINUTE, minute, services.clock.monotonic)
        self._refusals = Rate(MOST_REFUSALS, minute, services.clock.monotonic)

    def cors(self, request: Request) -> dict[str, str]:
        """The headers that let the calling page read the answer, if it is an account's own; errors have them too."""
        origin = request.headers.get("origin", "")
        headers = {"Vary": "Origin"}
        if origin and self.accounts.have_page(origin):
            headers["Access-Control-Allow-Origin"] = origin
        return headers

    def enter(self, request: Request) -> tuple[EmbeddedAccount, Claims]:
        """Whose token it is, and of which account. Raises Refusal, in the order that the vendor prescribes."""
        token = request.headers.get("x-auth-token", "")
        if not token:
            raise Refusal("no_token")
        audience = audience_of(self._services.settings.public_url)
        if not audience:
            raise Refusal("not_set_up", detail="HUB_PUBLIC_URL")
        found = self.accounts.of_client(peek(token))
        claims = self._claims(token, found, audience)
        own = [account for account in found if account.is_of(claims)]
        if not own:
            raise Refusal("other_account")
        own = [account for account in own if account.is_connected]
        if not own:
            raise Refusal("not_connected")
        # one account may serve two projects of a company; who works in one of them is led there
        user = UserId(claims.user_id)
        account = next((one for one in own if user in one.connection.employees), own[0])
        origin = request.headers.get("origin", "")
        if origin and not account.client.has_page(origin):
            raise Refusal("other_origin")
        if not self._calls.allows(f"{account.project.name}/{account.connection.name}/{user}"):
            raise Refusal("too_many")
        return account, claims

    def _claims(self, token: str, found: list[EmbeddedAccount], audience: str) -> Claims:
        """Accounts of one integration share its key; where two keys were entered, the one that fits counts."""
        now = self._services.clock.now()
        by_key = {account.client.secret.get_secret_value(): account.client for account in found}
        *others, last = by_key.values()
        for client in others:
            try:
                return read_token(token, client, audience, now)
            except Refusal as refusal:
                if refusal.code != "bad_token":
                    raise
        return read_token(token, last, audience, now)

    def count_refusal(self, request: Request) -> None:
        """Who is refused too often is refused without another look. Raises Refusal."""
        address = request.client.host if request.client else ""
        if not self._refusals.allows(address):
            raise Refusal("too_many")

    async def visitor(self, request: Request) -> Visitor:
        """Everything about one call. Raises Refusal."""
        try:
            account, claims = self.enter(request)
        except Refusal as refusal:
            if refusal.status == 401:
                self.count_refusal(request)
            raise
        live, connection = account.project, account.connection
        employee = connection.employees.get(UserId(claims.user_id))
        policy = live.policy
        if policy is not None and employee not in policy.people.by_id:
            employee = None
        if employee is None and not claims.is_admin:
            raise Refusal("unknown_user" if policy is not None else "no_policy")
        roles = policy.roles_on(employee, "") if policy is not None and employee is not None else ()
        return Visitor(
            request=request,
            services=self._services,
            project=live,
            connection=connection,
            user=UserId(claims.user_id),
            employee=employee,
            is_admin=claims.is_admin or "administrator" in roles,
            language=language_of(request, live),
            body=await _body(request),
        )


def language_of(request: Request, live: LiveProject | None = None) -> Language:
    """What ``?lang=`` asks for, else the project's language, else what the browser asks for."""
    asked = request.query_params.get("lang", "")
    for language in LANGUAGES:
        if asked == language:
            return language
    if live is not None and live.policy is not None:
        return live.policy.language
    return as_language(request.headers.get("accept-language", ""))


async def _body(request: Request) -> Mapping[str, Any]:
    if request.method == "GET":
        return {}
    try:
        async with asyncio.timeout(BODY_TIME.total_seconds()):
            raw = await read_body(request.receive, BODY_LIMIT)
    except TimeoutError:
        raise Refusal("bad_field", field="body") from None
    if raw is Unread.TOO_LARGE:
        raise Refusal("too_large")
    if isinstance(raw, Unread):
        raise Refusal("bad_field", field="body")
    try:
        # half a surrogate pair, which the standard library lets through, could be stored nowhere
        found = orjson.loads(raw or b"{}")
    except ValueError:
        raise Refusal("bad_field", field="body") from None
    if not isinstance(found, dict):
        raise Refusal("bad_field", field="body")
    return found


def visit_route(path: str, **handlers: Handler) -> Route:
    """A call of the widget that only an employee of the account may make: ``visit_route("/card", get=card)``."""

    async def endpoint(request: Request) -> Response:
        handler = handlers[request.method.lower()]
        return await handler(await _gate(request).visitor(request))

    return route(path, endpoint, tuple(name.upper() for name in handlers))


def open_route(path: str, handler: OpenHandler) -> Route:
    """A GET that brings its own proof (a stream's ticket): only the page that calls is looked at."""
    return route(path, handler, ("GET",))


def route(path: str, endpoint: OpenHandler, methods: tuple[str, ...]) -> Route:
    """``endpoint`` for the accounts' own pages: preflight, CORS on every answer, errors in one shape."""

    async def guarded(request: Request) -> Response:
        headers = _gate(request).cors(request)
        if request.method == "OPTIONS":
            if "Access-Control-Allow-Origin" in headers:
                headers |= {"Access-Control-Allow-Methods": ", ".join(methods), **_PREFLIGHT}
            return Response(status_code=204, headers=headers)
        try:
            if request.method not in methods:
                raise Refusal("no_method")
            answer = await endpoint(request)
        except HubError as err:
            refusal = refusal_of(err)
            if refusal.code == "broken":
                log.error("%s failed", request.url.path, exc_info=err, extra={"action": "widget.broken"})
            if refusal.code == "other_origin":
                headers.pop("Access-Control-Allow-Origin", None)
            answer = show_refusal(refusal, translator(language_of(request)))
        except Exception as err:  # the page must be able to read that something broke
            log.error("%s failed", request.url.path, exc_info=err, extra={"action": "widget.broken"})
            answer = show_refusal(Refusal("broken"), translator(language_of(request)))
        answer.headers.update(headers)
        return answer

    return Route(path, guarded, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate
