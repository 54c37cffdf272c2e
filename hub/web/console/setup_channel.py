"""Set-up: the channel, the addresses to copy into the vendor's cabinet, the first webhook (H12)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from hub.errors import ConfigurationError
from hub.ports import SetupHint
from hub.runtime import setup
from hub.store.inbox import Received
from hub.store.projects import Channel
from hub.web.console.form import fields_of, values_of
from hub.web.console.page import Choice, page
from hub.web.console.setup_crm import SettingsPage
from hub.web.console.stage import Stage, stages_of
from hub.web.console.visit import Visit, to
from hub.web.links import forward_url, hook_url

__all__ = ["addresses", "channel_page", "new_channel", "seen", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What to copy, in order."""

    stages: tuple[Stage, ...]
    channel: Channel
    hints: tuple[SetupHint, ...]
    #: vendors cannot reach us yet
    has_public_url: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Whether something came through the channel."""

    stages: tuple[Stage, ...]
    channel: Channel
    last: Received | None


async def new_channel(visit: Visit) -> Response:
    """GET and POST /setup/{project}/channels"""
    live, services = visit.project, visit.services
    sources = sorted(services.plugins.sources)
    if not sources:
        return page("console/problem.html", await visit.frame("setup"), visit.t("setup.no_sources"), status=404)
    wanted = visit.field("plugin") or visit.request.query_params.get("plugin", "")
    source = wanted if wanted in sources else sources[0]
    model = services.plugins.source(source).settings_model
    name, problem = visit.field("name") or source, None
    if visit.request.method == "POST":
        try:
            values = values_of(model, visit.form, {})
            made = await setup.add_channel(services, live.name, name=name, source=source, values=values)
            return to(f"/setup/{live.name}/channels/{quote(made.name, safe='')}/addresses")
        except ConfigurationError as err:
            problem = err
    shown = SettingsPage(
        stages=tuple(await stages_of(services, live)),
        plugins=tuple(Choice(value=one, label=one, is_chosen=one == source) for one in sources),
        plugin=source,
        name=name,
        fields=tuple(fields_of(model, {}, visit.t, error=problem)),
        problem=str(problem) if problem else "",
        is_new=True,
    )
    return page("setup/channel.html", await visit.frame("setup"), shown, status=422 if problem else 200)


async def _channel(visit: Visit) -> Channel:
    return await setup.find_channel(visit.services, visit.project.name, visit.request.path_params["channel"])


async def channel_page(visit: Visit) -> Response:
    """GET and POST /setup/{project}/channels/{channel}"""
    live, services, row = visit.project, visit.services, await _channel(visit)
    model = services.plugins.source(row.source).settings_model
    problem = None
    if visit.request.method == "POST":
        try:
            await setup.change_channel(services, live.name, row.name, values_of(model, visit.form, row.settings))
            return to(f"/setup/{live.name}/channels/{quote(row.name, safe='')}/addresses")
        except ConfigurationError as err:
            problem = err
    shown = SettingsPage(
        stages=tuple(await stages_of(services, live)),
        plugins=(),
        plugin=row.source,
        name=row.name,
        fields=tuple(fields_of(model, row.settings, visit.t, error=problem)),
        problem=str(problem) if problem else live.problems.get(row.name, ""),
    )
    return page("setup/channel.html", await visit.frame("setup"), shown, status=422 if problem else 200)


async def addresses(visit: Visit) -> Response:
    """GET /setup/{project}/channels/{channel}/addresses: exactly what to enter in the vendor's cabinet"""
    live, services, row = visit.project, visit.services, await _channel(visit)
    public = services.settings.public_url or str(visit.request.base_url).rstrip("/")
    hints = setup.hints(
        services,
        live.name,
        row.name,
        hook_url=hook_url(public, live.name, row.name, row.secret),
        forward_url=forward_url(public, live.name, row.name, row.secret),
    )
    model = Addresses(
        stages=tuple(await stages_of(services, live)),
        channel=row,
        hints=tuple(hints),
        has_public_url=bool(services.settings.public_url),
    )
    return page("setup/addresses.html", await visit.frame("setup"), model)


async def waiting(visit: Visit) -> Response:
    """GET /setup/{project}/channels/{channel}/waiting: lights up when the first webhook arrives"""
    live, services, row = visit.project, visit.services, await _channel(visit)
    last = await setup.last_webhook(services, row.project, row.name)
    model = Waiting(stages=tuple(await stages_of(services, live)), channel=row, last=last)
    return page("setup/waiting.html", await visit.frame("setup"), model)


async def seen(visit: Visit) -> Response:
    """GET /setup/{project}/channels/{channel}/seen: asked by the waiting page"""
    row = await _channel(visit)
    last = await setup.last_webhook(visit.services, row.project, row.name)
    return JSONResponse({"is_seen": last is not None})
