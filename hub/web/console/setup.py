"""The guided set-up in the browser: which step comes next, and the steps before any CRM (H12)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import available_timezones

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.core.text import Language
from hub.engine.projects import LiveProject
from hub.errors import AccessError, ConfigurationError
from hub.language import as_language
from hub.runtime import setup
from hub.runtime.setup import AddressCheck, Preset
from hub.web.console import setup_channel, setup_crm, setup_staff
from hub.web.console.login import form_token, is_form_genuine, is_secure, open_session
from hub.web.console.page import page
from hub.web.console.security import FORM_COOKIE, set_cookie
from hub.web.console.stage import Stage, stages_of
from hub.web.console.visit import Handler, Visit, guest_frame, services_of, signed_in, to
from hub.web.limits import read_form

__all__ = ["SETUP"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """The page of the first run."""

    token: str = ""
    login: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The projects, and whether the hub can be reached."""

    address: AddressCheck
    projects: tuple[tuple[LiveProject, tuple[Stage, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """The form of a new project, with what was entered."""

    presets: tuple[Preset, ...]
    zones: tuple[str, ...]
    name: str = ""
    title: str = ""
    preset: str = ""
    language: str = ""
    region: str = "UA"
    time_zone: str = "Europe/Kyiv"
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One project's steps."""

    stages: tuple[Stage, ...]


async def begin(request: Request) -> Response:
    """GET and POST /setup/: the first administrator, then the overview."""
    services = services_of(request)
    if not await setup.needs_administrator(services):
        return await signed_in(overview, role="admin")(request)
    if request.method == "POST":
        return await _make_administrator(request)
    _tell_token(request, setup.first_token(services.cipher))
    return _administrator(request, Administrator(token=request.query_params.get("token", "")[:100]))


def _tell_token(request: Request, token: str) -> None:
    """Show the token to whoever can read the log: that they can is the proof that the hub is theirs.

    Once a process, when somebody first opens the set-up; worthless as soon as there is a user.
    """
    if not getattr(request.app.state, "is_token_told", False):
        request.app.state.is_token_told = True
        log.warning("the token for the first administrator is %s", token, extra={"action": "setup.token"})


async def _make_administrator(request: Request) -> Response:
    services = services_of(request)
    form = await read_form(request, max_fields=10)
    model = Administrator(token=str(form.get("token", "")).strip(), login=str(form.get("login", "")).strip())
    if not is_form_genuine(request, str(form.get("csrf", ""))):
        return _administrator(request, model, problem_key="login.stale", status=403)
    language: Language = as_language(str(form.get("language", "")), guest_frame(request).language)
    try:
        made = await setup.create_administrator(
            services,
            token=model.token,
            login=model.login,
            password=str(form.get("password", "")),
            language=language,
        )
    except AccessError:
        return _administrator(request, model, problem_key="setup.wrong_token", status=403)
    except ConfigurationError as err:
        key = "setup.bad_password" if err.path == "password" else "setup.bad_login"
        return _administrator(request, model, problem_key=key, status=422)
    return await open_session(services, made.login, to("/setup/"))


def _administrator(request: Request, model: Administrator, *, problem_key: str = "", status: int = 200) -> Response:
    token = form_token(request)
    frame = guest_frame(request, csrf=token)
    problem = frame.t(problem_key, n=setup.SHORTEST_PASSWORD) if problem_key else ""
    shown = Administrator(token=model.token, login=model.login, problem=problem)
    response = page("setup/administrator.html", frame, shown, status=status)
    set_cookie(response, FORM_COOKIE, token, is_secure=is_secure(services_of(request)), life=timedelta(hours=12))
    return response


async def overview(visit: Visit) -> Response:
    """GET /setup/: the public address, fetched as a vendor would, and the projects."""
    seen = [found for found in visit.services.projects.all() if visit.user.may_see(found.name)]
    shown = [(found, tuple(await stages_of(visit.services, found))) for found in seen]
    model = Overview(address=await setup.check_address(visit.services), projects=tuple(shown))
    return page("setup/overview.html", await visit.frame("setup"), model)


async def new_project(visit: Visit) -> Response:
    """GET and POST /setup/new"""
    presets = tuple(setup.list_presets())
    zones = tuple(sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")))
    if visit.request.method != "POST":
        model = NewProject(presets=presets, zones=zones, preset=setup.DEFAULT_PRESET, language=visit.user.language)
        return page("setup/new.html", await visit.frame("setup"), model)
    entered = {name: visit.field(name) for name in ("name", "title", "preset", "language", "region", "time_zone")}
    try:
        made = await setup.create_project(
            visit.services,
            name=entered["name"],
            title=entered["title"],
            preset=entered["preset"],
            language=as_language(entered["language"]),
            region=entered["region"],
            time_zone=entered["time_zone"],
            author=visit.user.login,
        )
    except ConfigurationError as err:
        model = NewProject(presets=presets, zones=zones, problem=str(err), **entered)
        return page("setup/new.html", await visit.frame("setup"), model, status=422)
    return to(f"/setup/{made.name}")


async def steps(visit: Visit) -> Response:
    """GET /setup/{project}: what is done and what comes next."""
    model = Steps(stages=tuple(await stages_of(visit.services, visit.project)))
    return page("setup/steps.html", await visit.frame("setup"), model)


def _admin(path: str, handler: Handler, *methods: str) -> Route:
    return Route(path, signed_in(handler, role="admin"), methods=list(methods) or ["GET"])


SETUP: list[BaseRoute] = [
    Route("/", begin, methods=["GET", "POST"]),
    _admin("/new", new_project, "GET", "POST"),
    _admin("/{project}", steps),
    _admin("/{project}/crm", setup_crm.new_connection, "GET", "POST"),
    _admin("/{project}/crm/{connection}", setup_crm.connection_page, "GET", "POST"),
    _admin("/{project}/crm/{connection}/connect", setup_crm.connect, "POST"),
    _admin("/{project}/crm/{connection}/oauth", setup_crm.oauth),
    _admin("/{project}/crm/{connection}/names", setup_crm.names, "GET", "POST"),
    _admin("/{project}/crm/{connection}/employees", setup_staff.employees, "GET", "POST"),
    _admin("/{project}/channels", setup_channel.new_channel, "GET", "POST"),
    _admin("/{project}/channels/{channel}", setup_channel.channel_page, "GET", "POST"),
    _admin("/{project}/channels/{channel}/addresses", setup_channel.addresses),
    _admin("/{project}/channels/{channel}/waiting", setup_channel.waiting),
    _admin("/{project}/channels/{channel}/seen", setup_channel.seen),
]
