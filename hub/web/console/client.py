"""A client's address in the hub: what vendors are given as a link before the CRM has a card (DESIGN 7)."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from hub.core.interaction import ClientId, Identity
from hub.core.records import EmployeeId
from hub.errors import ConfigurationError
from hub.messenger import FramesChats, OwedQuestion
from hub.runtime.known_client import KnownClients
from hub.store import acquaintance, clients, interactions
from hub.web.console.page import page
from hub.web.console.visit import Visit, to

__all__ = ["chat_of_client", "client_page"]


async def client_page(visit: Visit) -> Response:
    """GET /console/{project}/clients/{id}: on to the CRM's card, else to the client's latest interaction."""
    live, id = visit.project, await _client(visit)
    if id is None:
        return await _unknown(visit)
    question = OwedQuestion(kind="page", client_id=id)
    known = await KnownClients(visit.services).find(live, "", question)
    if known.contact is not None and known.card_url and "/console/" not in known.card_url:
        # to the CRM's own address, which its plugin makes
        return RedirectResponse(known.card_url, status_code=303)
    found = await visit.services.store.read(lambda conn: interactions.list_of_client(conn, id, limit=1))
    return to(f"/console/{live.name}/interactions/{found[0].id}" if found else f"/console/{live.name}/journal")


async def chat_of_client(visit: Visit) -> Response:
    """GET /console/{project}/clients/{id}/chat?as=EMPLOYEE: the dialogue in the vendor's frame, as that one sees it.

    The address is good for one opening, so each asks for its own.
    """
    live, id, composer = visit.project, await _client(visit), visit.services.composer
    employee = EmployeeId(visit.request.query_params.get("as", ""))
    policy = live.policy
    if id is None or composer is None or policy is None:
        return await _unknown(visit)
    if employee not in policy.people.by_id:
        return await _problem(visit, visit.t("clients.no_employee", who=employee or "—"))
    identity: Identity = await visit.services.store.read(lambda conn: acquaintance.identity_of(conn, id))
    for channel in live.channels.values():
        source = visit.services.plugins.sources.get(channel.source)
        if isinstance(source, FramesChats):
            name = policy.people.by_id[employee].name
            url = await source.frame_url(
                channel, composer.http(channel), staff_id=employee, staff_name=name, client=identity
            )
            return RedirectResponse(url, status_code=303)
    raise ConfigurationError("no channel of the project shows dialogues", path="channels")


async def _client(visit: Visit) -> ClientId | None:
    """The client whom the address names, if they are the project's; of joined ones the one who was kept."""
    wanted, project = ClientId(visit.request.path_params["id"]), visit.project.name

    def find(conn: Connection) -> ClientId | None:
        found = clients.find(conn, wanted)
        return found.id if found is not None and found.project == project else None

    return await visit.services.store.read(find)


async def _unknown(visit: Visit) -> Response:
    return await _problem(visit, visit.t("clients.unknown"))


async def _problem(visit: Visit, said: str) -> Response:
    return page("console/problem.html", await visit.frame("journal"), said, status=404)
