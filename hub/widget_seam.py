"""What plugins may do for the widget (U1): a CRM vouches for whoever looks, a telephony rings two people together.

Each ability is a Protocol of its own, asked for by ``isinstance``: a plugin that has the methods has the ability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, SecretStr

from hub.core.records import RecordRef
from hub.ports import ChannelConfig

__all__ = ["EmbedsWidget", "FramesPanel", "PanelPlace", "RingsBack", "WidgetClient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetClient:
    """Who signs the tokens of the hub's widget in one CRM account, and where the widget's pages live."""

    #: the integration's id, as its tokens name it
    client_id: str
    #: the key of the signature
    secret: SecretStr
    #: the vendor's id of the account; "" while it is not known
    account_id: str = ""
    #: the account's part of the vendor's domains; "" while it is not known, as in a sandbox
    subdomain: str = ""
    #: the vendor's domains, each with its leading dot
    domains: tuple[str, ...] = ()
    #: the account is a sandbox on this machine: pages of this machine may call, from any port
    is_sandbox: bool = False

    def has_page(self, origin: str) -> bool:
        """True if a page of ``origin`` (``https://demo7.amocrm.ru``) is the account's own."""
        if self.subdomain and any(origin == f"https://{self.subdomain}{domain}" for domain in self.domains):
            return True
        if not self.is_sandbox:
            return False
        try:
            parts = urlsplit(origin)
            host = parts.hostname or ""
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and (host == "localhost" or host.startswith("127."))


@runtime_checkable
class EmbedsWidget(Protocol):
    """A sink in whose pages the hub's widget runs, and whose vendor signs who looks at it."""

    def widget_client(self, project: str, connection: str, settings: BaseModel) -> WidgetClient | None:
        """Whose tokens the account of ``settings`` brings; None while the integration's keys are missing.

        Synchronous and cheap: asked whenever settings change.
        """
        ...


@runtime_checkable
class RingsBack(Protocol):
    """A source whose telephony rings an employee and a client, and puts them through."""

    def can_ring(self, channel: ChannelConfig) -> bool:
        """True if the channel has what ordering a call needs; no I/O."""
        ...

    async def ring(self, channel: ChannelConfig, http: httpx.AsyncClient, *, client: str, employee: str) -> Any:
        """Order one call between the client's number and the employee's destination.

        Never repeated by anybody: a second request rings again. Raises VendorError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPlace:
    """A kind of card of the CRM beside which the hub's page can stand."""

    #: as the address names it: the vendor's word
    entity: str
    #: what stands in the link for the record's id, and for whoever looks; the vendor fills them in
    id_field: str
    user_field: str = ""


@runtime_checkable
class FramesPanel(Protocol):
    """A sink whose vendor shows a page of ours in a frame, or opens it by a link, instead of running the widget."""

    def panel_origins(self, settings: BaseModel) -> tuple[str, ...]:
        """Whose pages may frame ours: scheme and host."""
        ...

    def panel_places(self, settings: BaseModel) -> tuple[PanelPlace, ...]:
        """The kinds of cards, in the order in which people are told of them."""
        ...

    def panel_record(self, entity: str, id: str) -> RecordRef | None:
        """The record that the vendor calls ``id`` of ``entity``; None for what is none."""
        ...
