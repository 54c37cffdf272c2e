"""Which CRM accounts have the widget: found by what a token claims, or by the page that calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import ConfigurationError
from hub.runtime.services import Services
from hub.store.projects import CrmConnection, Status
from hub.web.widget.refusal import Refusal
from hub.web.widget.token import Claims
from hub.widget_seam import EmbedsWidget, WidgetClient

__all__ = ["EmbeddedAccount", "EmbeddedAccounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedAccount:
    """One account in whose pages the widget may run."""

    project: LiveProject
    connection: LiveConnection
    client: WidgetClient

    @property
    def is_connected(self) -> bool:
        """False once it was switched off, in the hub or in the CRM; a CRM that is merely down stays connected."""
        return self.connection.row.status is not Status.OFF

    def is_of(self, claims: Claims) -> bool:
        """True if the token is of this very account: id and name, as far as they are known."""
        client = self.client
        if client.account_id and client.account_id != claims.account_id:
            return False
        return not client.subdomain or client.subdomain == claims.subdomain


class EmbeddedAccounts:
    """All of them, as the projects stand now; what a plugin said of a connection is kept while its row stays."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[tuple[str, str], tuple[CrmConnection, WidgetClient | None]] = {}

    def all(self) -> Iterator[EmbeddedAccount]:
        """By project, then in the project's order of CRMs."""
        for project in self._services.projects.all():
            for connection in project.connections:
                client = self._client_of(project.name, connection)
                if client is not None:
                    yield EmbeddedAccount(project=project, connection=connection, client=client)

    def have_page(self, origin: str) -> bool:
        """True if any account's pages live at ``origin``."""
        return any(account.client.has_page(origin) for account in self.all())

    def of_client(self, client_id: str) -> list[EmbeddedAccount]:
        """The accounts that installed the integration. Raises Refusal where none did."""
        found = [account for account in self.all() if client_id and account.client.client_id == client_id]
        if not found:
            raise Refusal("unknown_client")
        return found

    def _client_of(self, project: str, connection: LiveConnection) -> WidgetClient | None:
        row = connection.row
        known = self._known.get((project, row.name))
        if known is not None and known[0] is row:
            return known[1]
        client: WidgetClient | None = None
        try:
            sink = self._services.plugins.sink(row.sink)
            if isinstance(sink, EmbedsWidget):
                client = sink.widget_client(project, row.name, sink.settings_model.model_validate(row.settings))
        except (ConfigurationError, ValidationError):
            client = None  # the connection's own page says what is wrong
        self._known[project, row.name] = (row, client)
        return client
