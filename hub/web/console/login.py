"""Logging in and out, the language switch (H8, U4)."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from hub.language import as_language
from hub.runtime.services import Services
from hub.store import users
from hub.store.crypto import check_password, hash_password
from hub.web.console.guesses import DEVICE_COOKIE, DEVICE_LIFE, Guesses, device_for, keys_of
from hub.web.console.page import page
from hub.web.console.security import (
    FORM_COOKIE,
    SESSION_COOKIE,
    SESSION_LIFE,
    clear_cookie,
    is_foreign_post,
    set_cookie,
)
from hub.web.console.visit import Visit, guest_frame, services_of, to
from hub.web.limits import read_form

__all__ = ["choose_language", "form_token", "is_form_genuine", "is_secure", "log_in", "log_out", "open_session"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The page."""

    login: str = ""
    #: a key of the catalogue, "" if nothing went wrong
    problem: str = ""
    #: how long the next try has to wait
    wait: timedelta = timedelta(0)
    #: where to go afterwards, a path of ours
    next: str = ""
    #: nobody can log in yet: the set-up has not begun
    is_first_run: bool = False


@lru_cache
def _nobody() -> str:
    """A hash to compare with where there is no such user, so that the time does not tell."""
    return hash_password(secrets.token_hex(16))


def is_secure(services: Services) -> bool:
    """True if browsers reach the hub by https, so that cookies must not travel otherwise."""
    return services.settings.public_url.startswith("https://")


def _guesses(request: Request) -> Guesses:
    state = request.app.state
    if not hasattr(state, "guesses"):
        state.guesses = Guesses(clock=services_of(request).clock)
    found: Guesses = state.guesses
    return found


def form_token(request: Request) -> str:
    """The anti-forgery token of a form before any session: the cookie's, or a new one."""
    return request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)


def is_form_genuine(request: Request, sent: str) -> bool:
    """True if the form came from our own page: its token is the cookie's."""
    kept = request.cookies.get(FORM_COOKIE, "")
    return not is_foreign_post(request) and bool(kept) and hmac.compare_digest(kept.encode(), sent.encode())


def own_path(text: str) -> str:
    """``text`` if it is a path of the console or the set-up, else the console's first page."""
    parts = urlsplit(text)
    is_own = not parts.scheme and not parts.netloc and text.startswith(("/console/", "/setup"))
    return text if is_own and "\\" not in text else "/console/"


async def log_in(request: Request) -> Response:
    """GET and POST /console/login"""
    services = services_of(request)
    token = form_token(request)
    if request.method != "POST":
        is_first = not await services.store.read(users.count_users)
        model = Login(next=own_path(request.query_params.get("next", "")), is_first_run=is_first)
        return _shown(request, model, token)
    form = await read_form(request, max_fields=10)
    login = str(form.get("login", "")).strip()[:200]
    password = str(form.get("password", ""))[:1000]
    model = Login(login=login, next=own_path(str(form.get("next", ""))))
    if not is_form_genuine(request, str(form.get("csrf", ""))):
        return _shown(request, model, token, problem="login.stale", status=403)
    guesses, address = _guesses(request), request.client.host if request.client else ""
    tallies = keys_of(address, login, request.cookies.get(DEVICE_COOKIE, ""), services.cipher)
    wait = guesses.wait(tallies)
    if wait:
        log.warning("too many failed logins", extra={"action": "console.login_limited"})
        return _shown(request, model, token, problem="login.too_many", status=429, wait=wait)
    guesses.failed(tallies)
    user = await services.store.read(lambda conn: users.find_user(conn, login))
    is_right = await asyncio.to_thread(check_password, user.password if user else _nobody(), password)
    if user is None or not is_right:
        log.warning("a login failed", extra={"action": "console.login_failed"})
        return _shown(request, model, token, problem="login.wrong", status=401)
    guesses.succeeded(tallies)
    return await open_session(services, user.login, to(model.next))


def _shown(
    request: Request,
    model: Login,
    token: str,
    *,
    problem: str = "",
    status: int = 200,
    wait: timedelta = timedelta(0),
) -> Response:
    shown = Login(login=model.login, next=model.next, is_first_run=model.is_first_run, problem=problem, wait=wait)
    response = page("console/login.html", guest_frame(request, csrf=token), shown, status=status)
    set_cookie(response, FORM_COOKIE, token, is_secure=is_secure(services_of(request)), life=timedelta(hours=12))
    if wait:
        response.headers["retry-after"] = str(math.ceil(wait.total_seconds()))
    return response


async def open_session(services: Services, login: str, response: Response) -> Response:
    """Give the browser a session of ``login`` with ``response``."""
    now = services.clock.now()

    def start(conn: Connection) -> str:
        return users.start_session(conn, login, now=now, lasts=SESSION_LIFE)

    token = await services.store.write(start)
    is_https = is_secure(services)
    set_cookie(response, SESSION_COOKIE, token, is_secure=is_https, life=SESSION_LIFE)
    set_cookie(response, DEVICE_COOKIE, device_for(login, services.cipher), is_secure=is_https, life=DEVICE_LIFE)
    clear_cookie(response, FORM_COOKIE, is_secure=is_https)
    log.info("%s logged in", login, extra={"action": "console.login"})
    return response


async def log_out(visit: Visit) -> Response:
    """POST /console/logout"""
    token = visit.request.cookies.get(SESSION_COOKIE, "")
    await visit.services.store.write(lambda conn: users.end_session(conn, token))
    response = to("/console/login")
    clear_cookie(response, SESSION_COOKIE, is_secure=is_secure(visit.services))
    return response


async def choose_language(visit: Visit) -> Response:
    """POST /console/language: kept with the user, for every browser of theirs."""
    language = as_language(visit.field("language"), as_language(visit.user.language))
    await visit.services.store.write(lambda conn: users.change_user(conn, visit.user.login, language=language))
    return to(own_path(visit.field("here")))
