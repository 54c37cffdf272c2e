"""Connecting a CRM account in the browser, and hearing that it was disconnected there (H12).

The ``state`` that goes out with the consent page is sealed with the hub's key: it names the connection, ends after
`LIFE`, and is used once.
"""

from __future__ import annotations

import html
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import AccessError, ConfigurationError, NeedsCredentials, Stale, VendorError
from hub.ports import ConnectionContext, HasOAuth, HearsDisconnect, OAuthGrant, Sink
from hub.runtime.plain_settings import plain_settings
from hub.runtime.services import Services
from hub.runtime.vendor_client import VendorClient
from hub.store import projects
from hub.store.projects import Status
from hub.web.headers import problem
from hub.web.links import crm_url, oauth_callback_url

__all__ = ["LIFE", "begin", "callback", "disconnect"]

log = logging.getLogger(__name__)

#: how long the administrator may take on the vendor's consent page
LIFE = timedelta(minutes=30)
#: where a connection's state remembers which of our ``state`` values were used
_USED = "hub_oauth_used"
_MOST_USED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """What a ``state`` says."""

    project: str
    connection: str
    nonce: str
    redirect_uri: str
    return_to: str
    ends_at: datetime

    def seal(self, services: Services) -> str:
        value = {
            "project": self.project,
            "connection": self.connection,
            "nonce": self.nonce,
            "redirect_uri": self.redirect_uri,
            "return_to": self.return_to,
            "ends_at": self.ends_at.timestamp(),
        }
        return services.cipher.encrypt(json.dumps(value).encode()).decode()

    @classmethod
    def unseal(cls, services: Services, sealed: str) -> _Ticket:
        """Raises AccessError if it is not ours or has ended."""
        try:
            value = json.loads(services.cipher.decrypt(sealed.encode()))
            ticket = cls(**{**value, "ends_at": datetime.fromtimestamp(value["ends_at"], UTC)})
        except (ConfigurationError, ValueError, KeyError, TypeError):
            raise AccessError("this page was not reached from the hub's set-up", endpoint="oauth callback") from None
        if ticket.ends_at < services.clock.now():
            raise AccessError("connecting took too long, begin again", endpoint="oauth callback")
        return ticket


def begin(services: Services, project: str, connection: str, *, public_url: str = "", return_to: str = "/setup") -> str:
    """The vendor's consent page for ``connection``: send the administrator's browser there.

    ``return_to`` is a path of the hub to which the browser comes back. Raises ConfigurationError if the connection
    cannot be connected this way, or misses settings.
    """
    found = _find(services, project, connection)
    sink = services.plugins.sink(found[1].row.sink)
    if not isinstance(sink, HasOAuth):
        raise ConfigurationError("this CRM is not connected in the browser", path=f"connection {connection}")
    address = public_url or services.settings.public_url
    if not address:
        raise ConfigurationError("the hub's public address is not set", path="HUB_PUBLIC_URL")
    ticket = _Ticket(
        project=project,
        connection=connection,
        nonce=secrets.token_hex(8),
        redirect_uri=oauth_callback_url(address, found[1].row.sink),
        return_to=_own_path(return_to),
        ends_at=services.clock.now() + LIFE,
    )
    return sink.consent_url(_settings_of(sink, found[1]), ticket.redirect_uri, ticket.seal(services))


async def callback(request: Request) -> Response:
    """GET ``/oauth/{vendor}/callback``: trade the code, keep what was learnt, go back to the set-up."""
    services: Services = request.app.state.services
    parameters = dict(request.query_params)
    try:
        ticket = _Ticket.unseal(services, parameters.get("state", ""))
        project, connection = _find(services, ticket.project, ticket.connection)
        if connection.row.sink != request.path_params["vendor"]:
            raise AccessError("the answer came from another vendor", endpoint="oauth callback")
        sink = services.plugins.sink(connection.row.sink)
        if not isinstance(sink, HasOAuth):
            raise ConfigurationError("this CRM is not connected in the browser", path=ticket.connection)
        await _use(services, ticket)
        grant = OAuthGrant(code=parameters.get("code", ""), redirect_uri=ticket.redirect_uri, parameters=parameters)
        async with _context(services, project, connection, sink) as context:
            settings = await sink.exchange(context, grant)
    except AccessError as err:
        return _page(403, "The account was not connected", str(err))
    except ConfigurationError as err:
        return _page(404, "The account was not connected", str(err))
    except NeedsCredentials as err:
        return _page(400, "The CRM refused", str(err))
    except VendorError as err:
        log.warning("connecting %s failed: %s", request.path_params["vendor"], err, extra={"action": "oauth.failed"})
        return _page(502, "The CRM did not answer", f"{err}. Begin again from the hub's set-up.")
    await _keep(services, ticket, settings)
    log.info("connected %s/%s", ticket.project, ticket.connection, extra={"action": "oauth.connected"})
    return RedirectResponse(ticket.return_to, status_code=303)


async def disconnect(request: Request) -> Response:
    """GET or POST ``/oauth/{vendor}/disconnect``: the account was disconnected in the CRM; signed by the vendor.

    The connection stops and its steps wait until the account is connected again (H4).
    """
    services: Services = request.app.state.services
    vendor = request.path_params["vendor"]
    parameters = dict(request.query_params)
    sink = services.plugins.sinks.get(vendor)
    if not isinstance(sink, HearsDisconnect):
        return problem(404, "not found")
    gone = [
        (project.name, connection.name)
        for project in services.projects.all()
        for connection in project.connections
        if connection.row.sink == vendor and _is_disconnected(sink, connection, parameters)
    ]
    if not gone:
        log.warning("a disconnect notice of %s is not signed for any account", vendor, extra={"action": "oauth.forged"})
        return problem(403, "the signature does not fit any account", field="signature")
    now = services.clock.now()
    why = "the integration was switched off in the CRM; connect the account again"

    def store(conn: Connection) -> None:
        for project, connection in gone:
            projects.set_status(conn, project, connection, Status.NEEDS_CREDENTIALS, now=now, reason=why)

    await services.store.write(store)
    for key in gone:
        account = services.accounts.get(key)
        if account is not None:
            account.failed(NeedsCredentials(why, connection=key[1]))
    services.changed()
    return Response(status_code=200)


def _find(services: Services, project: str, connection: str) -> tuple[LiveProject, LiveConnection]:
    live = services.projects.get(project)
    found = live.connection(connection)
    if found is None:
        raise ConfigurationError("there is no such connection", path=f"connection {project}/{connection}")
    return live, found


def _settings_of(sink: Sink | HasOAuth | HearsDisconnect, connection: LiveConnection) -> BaseModel:
    assert isinstance(sink, Sink)
    try:
        return sink.settings_model.model_validate(dict(connection.row.settings))
    except ValueError as err:
        raise ConfigurationError(str(err), path=f"connection {connection.name}") from err


def _is_disconnected(sink: HearsDisconnect, connection: LiveConnection, parameters: Mapping[str, str]) -> bool:
    try:
        return sink.is_disconnected(_settings_of(sink, connection), parameters)
    except ConfigurationError:
        return False


def _own_path(return_to: str) -> str:
    """``return_to`` if it is a path of ours, so that nobody is sent elsewhere."""
    parts = urlsplit(return_to)
    is_own = return_to.startswith("/") and not return_to.startswith(("//", "/\\")) and not parts.netloc
    return return_to if is_own else "/setup"


async def _use(services: Services, ticket: _Ticket) -> None:
    """Count the ticket as used, in every process and after a restart. Raises AccessError if it was."""
    state = services.states.of(ticket.project, ticket.connection)
    while True:
        value, version = await state.load()
        used = list(value.get(_USED, ()))
        if ticket.nonce in used:
            raise AccessError("this answer was used already, begin again", endpoint="oauth callback")
        try:
            await state.save({**value, _USED: [*used, ticket.nonce][-_MOST_USED:]}, version)
        except Stale:
            continue
        return


@asynccontextmanager
async def _context(
    services: Services, project: LiveProject, connection: LiveConnection, sink: Sink | HasOAuth
) -> AsyncIterator[ConnectionContext]:
    """What the exchange needs; the connection may be off, and then nothing of it runs yet."""
    public = services.settings.public_url
    row, policy = connection.row, project.policy
    async with VendorClient(timeout=httpx.Timeout(10.0, connect=5.0), follow_redirects=False) as http:
        yield ConnectionContext(
            project=project.name,
            name=row.name,
            settings=_settings_of(sink, connection),
            http=http,
            state=services.states.of(project.name, row.name),
            clock=services.clock,
            region=policy.project.region if policy else "UA",
            eight_is_seven=policy.eight_is_seven if policy else False,
            public_url=public,
            webhook_url=crm_url(public, project.name, row.name, row.secret) if public else "",
        )


async def _keep(services: Services, ticket: _Ticket, settings: BaseModel) -> None:
    """Store the completed settings and let the connection begin."""
    now = services.clock.now()

    def store(conn: Connection) -> None:
        projects.change_connection(conn, services.cipher, ticket.project, ticket.connection, plain_settings(settings))
        projects.set_status(conn, ticket.project, ticket.connection, Status.READY, now=now)

    await services.store.write(store)
    await services.projects.reload()
    services.changed()
    account = services.accounts.get((ticket.project, ticket.connection))
    if account is not None:
        account.resume()


def _page(status: int, title: str, text: str) -> Response:
    head, said = html.escape(title), html.escape(text)
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{head}</title><h1>{head}</h1><p>{said}</p><p><a href='/setup'>/setup</a></p>",
        status_code=status,
    )
