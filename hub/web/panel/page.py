"""GET /panel/…: from the CRM's link to a signed one, and the card as a page (U1, X1)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.core.records import EmployeeId, RecordRef
from hub.engine.projects import find_user
from hub.errors import AccessError
from hub.language import translator
from hub.runtime.card_view import Cards, CardView, is_cursor
from hub.runtime.client_records import Reader
from hub.runtime.services import Services
from hub.web.console.page import Frame, page
from hub.web.limits import Rate
from hub.web.panel.link import Panel, find_panel, is_signed, sign
from hub.web.widget.ability import record_url
from hub.web.widget.visitor import language_of

__all__ = ["Panels"]

log = logging.getLogger(__name__)

#: pages of one connection in a minute, and refusals of one address
MOST_A_MINUTE, MOST_REFUSALS = 600, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPage:
    """The page."""

    card: CardView
    #: shown instead of the card: a key of the catalogue
    notice: str = ""
    #: the address of the next page of the history, "" on the last
    older: str = ""


class Panels:
    """Opens panels, and no more often than people would."""

    def __init__(self, services: Services) -> None:
        self._services = services
        minute = timedelta(minutes=1)
        self._pages = Rate(MOST_A_MINUTE, minute, services.clock.monotonic)
        self._refusals = Rate(MOST_REFUSALS, minute, services.clock.monotonic)

    async def open(self, request: Request) -> Response:
        """GET /panel/{project}/{connection}/open?key=…&entity=…&id=…&user=…: on to the signed link of this card."""
        services, asked = self._services, request.query_params
        panel = self._find(request)
        if panel is None or not panel.fits(services, asked.get("key", "")):
            return self._refuse(request, panel, "panel.no_key", 403)
        if not self._pages.allows(f"{panel.project.name}/{panel.connection.name}"):
            return self._show(request, panel, PanelPage(card=CardView(), notice="panel.too_many"), 429)
        entity, id = asked.get("entity", ""), asked.get("id", "").strip()
        if panel.sink.panel_record(entity, id) is None:
            return self._show(request, panel, PanelPage(card=CardView(), notice="panel.no_record"), 404)
        user = find_user(panel.connection.catalogue, asked.get("user", ""))
        reader = panel.connection.employees.get(user.id) if user else None
        log.info("panel of %s opened for %s", panel.connection.name, reader or "-", extra={"action": "panel.opened"})
        language = language_of(request, panel.project)
        return RedirectResponse(sign(services, panel, entity, id, reader, language), status_code=303)

    async def show(self, request: Request) -> Response:
        """GET /panel/{project}/{connection}/{entity}/{id}?as=…&until=…&signature=…: the card."""
        services, asked, now = self._services, request.query_params, self._services.clock.now()
        panel = self._find(request)
        entity, id = str(request.path_params["entity"]), str(request.path_params["id"])
        told = [asked.get(name, "") for name in ("as", "until", "signature")]
        if panel is None or not is_signed(services, panel, entity, id, told[0], told[1], told[2], now):
            return self._refuse(request, panel, "panel.ended", 403)
        ref, policy = panel.sink.panel_record(entity, id), panel.project.policy
        if ref is None or policy is None:
            return self._show(request, panel, PanelPage(card=CardView(), notice="panel.no_record"), 404)
        reader = EmployeeId(told[0]) if told[0] in policy.people.by_id else None
        cards = Cards(
            services=services,
            live=panel.project,
            connection=panel.connection,
            policy=policy,
            reader=Reader(employee=reader),
            t=translator(language_of(request, panel.project)),
            url=record_url(services, panel.project, panel.connection),
        )
        before = asked.get("before", "")
        return self._show(request, panel, await self._card(request, cards, ref, before if is_cursor(before) else ""))

    async def _card(self, request: Request, cards: Cards, ref: RecordRef, before: str) -> PanelPage:
        try:
            view = await self._services.store.read(lambda conn: cards.card(conn, ref, before=before))
        except AccessError:
            return PanelPage(card=CardView(), notice="panel.colleagues" if cards.reader.employee else "panel.nobody")
        if view.client is None and not view.interactions:
            return PanelPage(card=view, notice="panel.unknown")
        older = str(request.url.include_query_params(before=view.before).query) if view.before else ""
        # nothing can be done from here: the page shows
        return PanelPage(card=replace(view, can=()), older=f"?{older}" if older else "")

    def _find(self, request: Request) -> Panel | None:
        return find_panel(self._services, request.path_params["project"], request.path_params["connection"])

    def _refuse(self, request: Request, panel: Panel | None, notice: str, status: int) -> Response:
        """What is not signed learns nothing, not even whether there is such a project."""
        address = request.client.host if request.client else ""
        if not self._refusals.allows(address):
            notice, status = "panel.too_many", 429
        return self._show(request, panel, PanelPage(card=CardView(), notice=notice), status, is_known=False)

    def _show(
        self, request: Request, panel: Panel | None, model: PanelPage, status: int = 200, *, is_known: bool = True
    ) -> Response:
        live = panel.project if panel is not None and is_known else None
        frame = Frame(
            t=translator(language_of(request, live)),
            now=self._services.clock.now(),
            project=live.name if live else "",
        )
        if live is not None and live.policy is not None:
            frame = replace(frame, zone=live.policy.zone)
        answer = page("panel/card.html", frame, model, status=status)
        # a refusal is the same for everybody, or it would tell whether there is such a connection: any page may frame
        # its one sentence, or people would meet an empty frame in the CRM
        framed = "*" if panel is None or not is_known else " ".join(panel.origins) or "'none'"
        answer.headers["Content-Security-Policy"] = "; ".join(
            (
                "default-src 'none'",
                "style-src 'self'",
                "img-src 'self' data:",
                "media-src https: http:",
                "form-action 'none'",
                "base-uri 'none'",
                f"frame-ancestors {framed}",
            )
        )
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer
