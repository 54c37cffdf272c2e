"""Opening one connection: settings, pace, HTTP and session put together, for the running hub and for the set-up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx

from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import ConfigurationError
from hub.ports import ConnectionContext, Pace
from hub.runtime.account import Account, Health
from hub.runtime.certificates import certificates
from hub.runtime.pace import AT_ONCE, PacedTransport, Pacer
from hub.runtime.resolve import Names
from hub.runtime.services import Services
from hub.runtime.vendor_client import VendorClient
from hub.runtime.vendor_clock import DatedTransport, VendorClock

__all__ = ["names_of", "open_account"]


def open_account(
    services: Services,
    project: LiveProject,
    connection: LiveConnection,
    *,
    on_health: Callable[[str, str, Health, str], None] = lambda *_: None,
) -> Account:
    """The run-time side of one connection. Raises ConfigurationError if its plugin or settings do not fit."""
    row = connection.row
    sink = services.plugins.sink(row.sink)
    try:
        settings = sink.settings_model.model_validate(dict(row.settings))
    except ValueError as err:
        raise ConfigurationError(str(err), path=f"connection {row.name}") from err
    capabilities = sink.capabilities(settings)
    pacer = _pacer(services, capabilities.pace, row.sink, project.name, row.name)
    timing = project.policy.timing if project.policy else None
    seconds = timing.request_timeout.total_seconds() if timing else 20.0
    vendor_clock = VendorClock(f"{project.name}/{row.name}")
    outside = httpx.AsyncHTTPTransport(verify=certificates(), limits=AT_ONCE)
    transport = PacedTransport(DatedTransport(outside, services.clock, vendor_clock), pacer)
    http = VendorClient(
        transport=transport,
        timeout=httpx.Timeout(connect=min(10.0, seconds), read=seconds, write=seconds, pool=seconds),
        follow_redirects=False,
    )
    public = services.settings.public_url
    context = ConnectionContext(
        project=project.name,
        name=row.name,
        settings=settings,
        http=http,
        state=services.states.of(project.name, row.name),
        clock=services.clock,
        region=project.policy.project.region if project.policy else "UA",
        eight_is_seven=project.policy.eight_is_seven if project.policy else False,
        public_url=public,
        webhook_url=f"{public}/crm/{project.name}/{row.name}/{row.secret}" if public else "",
        lead=lambda: vendor_clock.lead,
    )
    health = Health(row.status.value)
    return Account(
        project=project.name,
        name=row.name,
        sink=row.sink,
        session=sink.open(context),
        context=context,
        transport=transport,
        capabilities=capabilities,
        pacer=pacer,
        directory=services.directory,
        clock=services.clock,
        vendor_clock=vendor_clock,
        on_health=on_health,
        names=names_of(connection),
        health=Health.READY if health is Health.RETRYING else health,
        health_reason=row.status_reason,
        is_imported=row.imported_at is not None,
        request_timeout=timedelta(seconds=seconds),
    )


def names_of(connection: LiveConnection) -> Names:
    """What the connection's names stand for now."""
    return Names(catalogue=connection.catalogue, users=connection.users, bound=connection.bound)


def _pacer(services: Services, pace: Pace, sink: str, project: str, connection: str) -> Pacer:
    """The one pacer of the scope: whoever asks this account from this process shares it."""
    shared = (sink, pace.shared_by) if pace.shared_by else (sink,)
    key = (sink, project, connection) if pace.scope == "account" else shared
    known = services.pacers.get(key)
    if known is None or known.pace != pace:
        known = services.pacers[key] = Pacer(pace, services.clock, scope="/".join(key), shared=services.shared_pace)
        if services.guard is not None:
            known.guard = services.guard
    return known
