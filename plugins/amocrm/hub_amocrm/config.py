"""What an administrator sets for one amoCRM account; the set-up page shows titles and descriptions."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hub.address import HttpAddress, is_loopback

__all__ = ["AmoCrmSettings"]

#: everything that the directory depends on; notes are left out, they change nothing that it holds (20.1)
WEBHOOK_EVENTS = (
    *(f"{action}_{entity}" for entity in ("lead", "contact", "company") for action in ("add", "update", "delete")),
    *(f"{action}_{entity}" for entity in ("lead", "contact", "company") for action in ("restore", "responsible")),
    "status_lead",
    *(f"{action}_task" for action in ("add", "update", "delete", "responsible")),
)


class AmoCrmSettings(BaseModel):
    """One account, and what amoCRM leaves unclear: each such doubt of the vendor's documents is one value here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: HttpAddress = Field(
        default="",
        title="Account address",
        description="https://yourcompany.amocrm.ru; filled in by itself when the account is connected in the browser.",
    )
    account_id: str = Field(
        default="",
        title="Account id",
        description="Filled in when the account is connected in the browser; webhooks of other accounts are refused.",
    )
    client_id: str = Field(
        default="", title="Integration ID", description="From the Keys tab of the integration's card in amoCRM."
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Secret key",
        description="From the Keys tab of the integration's card in amoCRM.",
    )
    long_lived_token: SecretStr = Field(
        default=SecretStr(""),
        title="Long-lived token",
        description="Instead of connecting in the browser: a token made on the Keys tab. Needs the account address.",
    )
    consent_address: HttpAddress = Field(
        default="https://www.amocrm.ru/oauth",
        title="Consent page",
        description="https://www.kommo.com/oauth for Kommo accounts.",
    )
    consent_mode: Literal["", "popup", "post_message"] = Field(
        default="", title="Consent mode", description="Empty: the page redirects back in the same tab."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(".amocrm.ru", ".amocrm.com", ".kommo.com"),
        title="Vendor's domains",
        description="Tokens are sent to hosts that end in one of these and to no others.",
    )
    is_loopback_allowed: bool = Field(
        default=False,
        title="Allow a sandbox on this machine",
        description="Lets the account live at http://127.0.0.1, as the sandbox does. Never needed for a real account.",
    )
    hidden_number: str = Field(
        default="anonymous",
        min_length=1,
        title="Hidden number",
        description="What stands in the call record of a client who hides their number; the field may not be empty.",
    )
    requests_per_second: int = Field(
        default=6,
        ge=1,
        le=50,
        title="Requests per second",
        description="In any sliding second, all kinds together. amoCRM allows 7 for one integration.",
    )
    is_limit_per_address: bool = Field(
        default=False,
        title="One limit for all accounts",
        description="On: all amoCRM accounts of this hub share one limit, as Kommo words it (per IP address)."
        " Off: each integration has its own.",
    )
    batch_size: int = Field(
        default=50, ge=1, le=250, title="Records in one request", description="amoCRM advises 50, and refuses 251."
    )
    popup_batch_size: int = Field(
        default=10, ge=1, le=50, title="Popups in one request", description="How many popups share a request."
    )
    page_size: int = Field(default=250, ge=1, le=250, title="Records on a page", description="250 is the most.")
    events_page_size: int = Field(
        default=100, ge=1, le=250, title="Events on a page", description="100 in the Russian documents, 250 in Kommo's."
    )
    page_window: int = Field(
        default=100, ge=2, title="Deepest page", description="Beyond it a long list is narrowed by time of change."
    )
    ids_per_request: int = Field(
        default=100, ge=1, le=250, title="Ids in one read", description="Longer addresses may be refused by the server."
    )
    creates_completed_tasks: bool = Field(
        default=True,
        title="Create tasks as completed",
        description="Off: a completed task costs a second request, should amoCRM ignore is_completed on creation.",
    )
    dates_calls: bool = Field(
        default=True,
        title="Date call records by the call",
        description="Off: a call stands in the feed at the moment when it was written.",
    )
    hub_id_field: str = Field(
        default="Hub ID",
        min_length=1,
        title="Field for the hub's mark",
        description="A text field of contacts and leads, made by the hub, by which a lost answer is found again.",
    )
    service_name: str = Field(
        default="Hub", title="Name in the feed", description="Shown on long notes and incoming leads made by the hub."
    )
    subscribes_webhooks: bool = Field(
        default=True, title="Subscribe to webhooks", description="Off: changes are only polled (free tariffs)."
    )
    webhook_events: tuple[str, ...] = Field(
        default=WEBHOOK_EVENTS,
        title="Webhook events",
        description="The whole list is sent each time, since amoCRM replaces it.",
    )
    search_digits: int = Field(
        default=10, ge=6, le=15, title="Digits searched for", description="The end of a number that goes into a search."
    )
    name_limit: int = Field(default=255, ge=20, title="Longest name", description="Names are cut to this length.")
    field_limit: int = Field(default=256, ge=20, title="Longest text field", description="Text fields are cut.")
    text_limit: int = Field(
        default=8000, ge=100, title="Longest note", description="Texts of notes, tasks and text areas are cut."
    )
    tag_limit: int = Field(default=100, ge=10, title="Longest tag", description="Tags are cut to this length.")
    clock_skew: timedelta = Field(
        default=timedelta(seconds=30),
        title="Clock difference",
        description="How far this machine's clock and amoCRM's may be apart.",
    )
    feed_overlap: timedelta = Field(
        default=timedelta(seconds=10),
        title="Feed overlap",
        description="Polls reach back this far, for records that appear in lists late.",
    )
    refresh_ahead: timedelta = Field(
        default=timedelta(hours=12),
        title="Refresh tokens ahead",
        description="Tokens are renewed when they have less than this left.",
    )

    def allows_host(self, host: str) -> bool:
        """Whether tokens may be sent to ``host`` (with an optional port)."""
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if is_loopback(host):
            return self.is_loopback_allowed
        return any(name.endswith(suffix) and name != suffix.lstrip(".") for suffix in self.allowed_hosts)

    def allows(self, address: str) -> bool:
        """Whether tokens may be sent to ``address``: the vendor's domains over TLS, or this machine if allowed."""
        parts = urlsplit(address)
        return self.allows_host(parts.netloc) and (parts.scheme == "https" or is_loopback(address))

    def address_of(self, host: str) -> str:
        """The address of an account's ``host`` as the vendor names it."""
        return f"http://{host}" if is_loopback(host) else f"https://{host}"
