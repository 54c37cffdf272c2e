"""One request of somebody who has logged in: who, in which project, in which language."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.engine.projects import LiveProject
from hub.errors import AccessError, ConfigurationError
from hub.language import Translator, as_language, translator
from hub.runtime.services import Services
from hub.store import figures, users
from hub.store.users import User
from hub.web.console.page import Choice, Frame, page
from hub.web.console.security import SESSION_COOKIE, is_foreign_post
from hub.web.limits import read_form

__all__ = ["Handler", "Visit", "guest_frame", "services_of", "signed_in", "to"]


Handler: TypeAlias = Callable[["Visit"], Awaitable[Response]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a handler of the console is given."""

    request: Request
    services: Services
    user: User
    csrf: str
    t: Translator
    #: the project that the address names; None outside projects
    live: LiveProject | None = None
    #: a POST's form, its anti-forgery token checked
    form: FormData

    @property
    def is_admin(self) -> bool:
        return self.user.role == "admin"

    @property
    def project(self) -> LiveProject:
        """The project that the address names. Raises ConfigurationError where it names none."""
        if self.live is None:
            raise ConfigurationError("this page belongs to a project", path="project")
        return self.live

    def field(self, name: str) -> str:
        """A text field of the form, trimmed; "" if it was not sent."""
        value = self.form.get(name)
        return value.strip() if isinstance(value, str) else ""

    async def frame(self, section: str) -> Frame:
        """What stands around the page."""
        live, services = self.live, self.services
        attention = 0
        if live is not None:
            name = live.name
            attention = await services.store.read(lambda conn: figures.count_attention(conn, name))
        return Frame(
            t=self.t,
            now=services.clock.now(),
            csrf=self.csrf,
            login=self.user.login,
            is_admin=self.is_admin,
            section=section,
            project=live.name if live else "",
            project_title=(live.row.title or live.name) if live else "",
            zone=live.policy.zone if live and live.policy else ZoneInfo("UTC"),
            projects=tuple(
                Choice(
                    value=found.name, label=found.row.title or found.name, is_chosen=live is not None and found is live
                )
                for found in services.projects.all()
                if self.user.may_see(found.name)
            ),
            held_back=_held_back(live),
            attention=attention,
            here=self.request.url.path,
        )


def _held_back(live: LiveProject | None) -> str:
    if live is None:
        return ""
    if live.row.is_paused:
        return "paused"
    return "shadow" if live.row.mode == "shadow" else ""


def services_of(request: Request) -> Services:
    """The running hub, as `hub.web.app` keeps it."""
    services: Services = request.app.state.services
    return services


def guest_frame(request: Request, *, csrf: str = "") -> Frame:
    """The frame of a page that needs no login, in the language that the browser or ``?language=`` asks for."""
    wanted = request.query_params.get("language") or request.headers.get("accept-language", "")
    return Frame(
        t=translator(as_language(wanted)),
        now=services_of(request).clock.now(),
        csrf=csrf,
        here=request.url.path,
    )


def to(path: str) -> RedirectResponse:
    """Go on to ``path`` with a GET."""
    return RedirectResponse(path, status_code=303)


def signed_in(handler: Handler, *, role: Literal["admin", "head"] = "head") -> Endpoint:
    """The endpoint that lets ``handler`` see only who may: session, role, project, anti-forgery token, in this order.

    Without a session a page leads to the login and back again; everything else is refused with 401, 403 or 404.
    """

    async def endpoint(request: Request) -> Response:
        services = services_of(request)
        token = request.cookies.get(SESSION_COOKIE, "")
        now = services.clock.now()

        def find(conn: Connection) -> users.Session | None:
            return users.find_session(conn, token, now) if token else None

        session = await services.store.read(find)
        if session is None:
            if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
                back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return to(f"/console/login?next={quote(back)}")
            return Response("log in first", 401, media_type="text/plain")
        visit = Visit(
            request=request,
            services=services,
            user=session.user,
            csrf=session.csrf,
            t=translator(as_language(session.user.language)),
            live=_project_of(request, services, session.user),
            form=await _form(request, session.csrf),
        )
        if role == "admin" and not visit.is_admin:
            return page("console/problem.html", await visit.frame(""), visit.t("problem.not_admin"), status=403)
        if "project" in request.path_params and visit.live is None:
            return page("console/problem.html", await visit.frame(""), visit.t("problem.no_project"), status=404)
        return await handler(visit)

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AccessError as err:
            return page("console/problem.html", guest_frame(request), str(err), status=403)
        except ConfigurationError as err:
            # the address names a channel or a connection that there is not, or not in this project
            return page("console/problem.html", guest_frame(request), str(err), status=404)

    return guarded


def _project_of(request: Request, services: Services, user: User) -> LiveProject | None:
    name = request.path_params.get("project")
    if not name or not user.may_see(name):
        return None
    return services.projects.find(name)


async def _form(request: Request, csrf: str) -> FormData:
    if request.method != "POST":
        return FormData()
    if is_foreign_post(request):
        raise AccessError("this form was sent from another site", endpoint=request.url.path)
    form = await read_form(request, max_fields=2000)
    sent = form.get("csrf")
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), csrf.encode()):
        raise AccessError("this form is too old: load the page again", endpoint=request.url.path)
    return form
