"""Set-up: the CRM account, by OAuth in the browser or with a token, and its names (H12)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from hub.engine.projects import LiveConnection
from hub.errors import ConfigurationError, VendorError
from hub.ports import HasOAuth
from hub.runtime import setup, staffing
from hub.runtime.staffing import Wanted
from hub.store.bindings import BindingKind
from hub.store.projects import Status
from hub.web import oauth as consent
from hub.web.console.form import FormField, fields_of, values_of
from hub.web.console.page import Choice, page
from hub.web.console.stage import Stage, stages_of
from hub.web.console.visit import Visit, to
from hub.web.links import oauth_callback_url

__all__ = ["connect", "connection_page", "names", "new_connection", "oauth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPage:
    """Settings of a connection or a channel, old or new."""

    stages: tuple[Stage, ...]
    #: plugins to choose from; () for one that exists
    plugins: tuple[Choice, ...]
    plugin: str
    name: str
    fields: tuple[FormField, ...]
    problem: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmPage:
    """One CRM account: its settings, the way to connect it, what was found."""

    settings: SettingsPage
    connection: LiveConnection
    has_oauth: bool
    redirect_uri: str
    is_ready: bool
    problem: str = ""
    #: just now: what the account offers was read
    is_fresh: bool = False

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.settings.stages


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesPage:
    """The policy's names and what they are in the CRM."""

    stages: tuple[Stage, ...]
    connection: str
    wanted: tuple[Wanted, ...]
    is_saved: bool = False


async def new_connection(visit: Visit) -> Response:
    """GET and POST /setup/{project}/crm"""
    live, services = visit.project, visit.services
    sinks = sorted(services.plugins.sinks)
    if not sinks:
        return page("console/problem.html", await visit.frame("setup"), visit.t("setup.no_sinks"), status=404)
    wanted = visit.field("plugin") or visit.request.query_params.get("plugin", "")
    sink = wanted if wanted in sinks else sinks[0]
    model = services.plugins.sink(sink).settings_model
    name, problem = visit.field("name") or sink, None
    if visit.request.method == "POST":
        try:
            values = values_of(model, visit.form, {})
            made = await setup.add_connection(services, live.name, name=name, sink=sink, values=values)
            return to(f"/setup/{live.name}/crm/{quote(made.name, safe='')}")
        except ConfigurationError as err:
            problem = err
    entered = {key: value for key, value in visit.form.items() if isinstance(value, str)}
    shown = SettingsPage(
        stages=tuple(await stages_of(services, live)),
        plugins=tuple(Choice(value=one, label=one, is_chosen=one == sink) for one in sinks),
        plugin=sink,
        name=name,
        fields=tuple(fields_of(model, _texts(entered, model.model_fields), visit.t, error=problem)),
        problem=str(problem) if problem else "",
        is_new=True,
    )
    return page("setup/crm_new.html", await visit.frame("setup"), shown, status=422 if problem else 200)


def _texts(entered: dict[str, str], known: object) -> dict[str, str]:
    """What was typed, to be shown again where it could not be stored."""
    names = set(known) if isinstance(known, dict) else set()
    return {key: value for key, value in entered.items() if key in names and value and "\n" not in value}


def live_connection(visit: Visit) -> LiveConnection:
    name = visit.request.path_params["connection"]
    found = visit.project.connection(name)
    if found is None:
        raise ConfigurationError("there is no such connection", path=f"connection {name}")
    return found


async def connection_page(visit: Visit, *, problem: str = "", is_fresh: bool = False) -> Response:
    """GET and POST /setup/{project}/crm/{connection}: the settings; a secret left empty stays as it was"""
    live, services = visit.project, visit.services
    connection = live_connection(visit)
    sink = services.plugins.sink(connection.row.sink)
    error = None
    is_settings = visit.request.method == "POST" and not problem and not is_fresh and visit.field("save") == "settings"
    if is_settings:
        try:
            values = values_of(sink.settings_model, visit.form, connection.row.settings)
            await setup.change_connection(services, live.name, connection.name, values)
            return to(f"/setup/{live.name}/crm/{quote(connection.name, safe='')}")
        except ConfigurationError as err:
            error = err
    public = services.settings.public_url
    connection = services.projects.get(live.name).connection(connection.name) or connection
    model = CrmPage(
        settings=SettingsPage(
            stages=tuple(await stages_of(services, services.projects.get(live.name))),
            plugins=(),
            plugin=connection.row.sink,
            name=connection.name,
            fields=tuple(fields_of(sink.settings_model, connection.row.settings, visit.t, error=error)),
            problem=str(error) if error else "",
        ),
        connection=connection,
        has_oauth=isinstance(sink, HasOAuth),
        redirect_uri=oauth_callback_url(public, connection.row.sink) if public else "",
        is_ready=connection.row.status is Status.READY and connection.row.catalogue is not None,
        problem=problem,
        is_fresh=is_fresh,
    )
    status = 422 if error else 502 if problem else 200
    return page("setup/crm.html", await visit.frame("setup"), model, status=status)


async def connect(visit: Visit) -> Response:
    """POST /setup/{project}/crm/{connection}/connect: look into the account, make what the hub needs in it"""
    live, connection = visit.project, live_connection(visit)
    try:
        await setup.connect(visit.services, live.name, connection.name)
    except (VendorError, ConfigurationError) as err:
        return await connection_page(visit, problem=str(err))
    await staffing.bind_found(visit.services, live.name, connection.name)
    return await connection_page(visit, is_fresh=True)


async def oauth(visit: Visit) -> Response:
    """GET /setup/{project}/crm/{connection}/oauth: on to the vendor's consent page"""
    live, connection = visit.project, live_connection(visit)
    back = f"/setup/{live.name}/crm/{quote(connection.name, safe='')}"
    try:
        address = consent.begin(visit.services, live.name, connection.name, return_to=back)
    except ConfigurationError as err:
        return await connection_page(visit, problem=str(err))
    return RedirectResponse(address, status_code=303)


async def names(visit: Visit) -> Response:
    """GET and POST /setup/{project}/crm/{connection}/names: pipelines, stages, fields, task types by name"""
    live, services, connection = visit.project, visit.services, live_connection(visit)
    wanted = await staffing.bind_found(services, live.name, connection.name)
    is_saved = False
    if visit.request.method == "POST":
        chosen: dict[tuple[BindingKind, str], str] = {}
        for one in wanted:
            value = visit.field(f"{one.kind}:{one.key}")
            if value != one.value and (not value or value in {offered.id for offered in one.offered}):
                chosen[(one.kind, one.key)] = value
        await staffing.bind(services, live.name, connection.name, chosen)
        wanted, is_saved = await staffing.bind_found(services, live.name, connection.name), True
    model = NamesPage(
        stages=tuple(await stages_of(services, services.projects.get(live.name))),
        connection=connection.name,
        wanted=tuple(wanted),
        is_saved=is_saved,
    )
    return page("setup/names.html", await visit.frame("setup"), model)
