"""What an administrator sets for one RetailCRM account; the set-up page shows titles and descriptions."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

__all__ = ["RetailCrmSettings"]


class RetailCrmSettings(BaseModel):
    """One account, and what RetailCRM leaves unclear: each such doubt of the vendor's documents is one value here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(
        title="Account address",
        description="https://yourcompany.retailcrm.ru (or .retailcrm.pro, .retailcrm.es, .simla.com).",
    )
    api_key: SecretStr = Field(
        title="API key",
        description="Settings > Integration > API keys: a key of its own for the hub. Never share it with another "
        "programme: changes made with it are taken for the hub's own.",
    )
    site: str = Field(
        default="",
        title="Shop",
        description="Symbolic code of the shop in which customers and orders are made. Needed only if the key sees "
        "several; an order's field 'site' in the policy overrules it.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(".retailcrm.ru", ".retailcrm.pro", ".retailcrm.es", ".simla.com"),
        title="Vendor's domains",
        description="The key is sent to hosts that end in one of these and to no others.",
    )
    is_loopback_allowed: bool = Field(
        default=False,
        title="Allow a sandbox on this machine",
        description="Lets the account live at http://127.0.0.1, as the sandbox does. Never needed for a real account.",
    )
    order_method: str = Field(
        default="phone",
        title="Order method",
        description="Code of the way in which an order came, where the policy's field 'orderMethod' says none. Empty: "
        "the account's own default.",
    )
    deal_name_in: Literal["managerComment", "customerComment", ""] = Field(
        default="managerComment",
        title="Where an order's title goes",
        description="Orders have a number and no name: the policy's name of a deal is written into this comment.",
    )
    copies_client: bool = Field(
        default=True,
        title="Copy the client into the order",
        description="Orders keep a name and a phone of their own. Off: saves a request where the customer is not "
        "known from a moment ago.",
    )
    popup: Literal["both", "card", "notification"] = Field(
        default="both",
        title="Popup",
        description="card: RetailCRM's own card of the caller (a telephony event); notification: the hub's text with "
        "a link; both.",
    )
    registers_module: bool = Field(
        default=True,
        title="Register as telephony",
        description="Without a registered telephony module RetailCRM pops up no cards.",
    )
    module_code: str = Field(
        default="crm-hub", pattern=r"^[a-zA-Z0-9_-]+$", title="Module code", description="Of the telephony module."
    )
    module_name: str = Field(default="Hub", min_length=1, title="Module name", description="As people see it.")
    module_logo: str = Field(
        default="", title="Module logo", description="Address of an SVG, should RetailCRM insist on one (?)."
    )
    reads_corporate: bool = Field(
        default=True,
        title="Corporate customers",
        description="Off: companies are neither read nor linked, which saves a request of every poll.",
    )
    hidden_number: str = Field(
        default="anonymous",
        min_length=1,
        title="Hidden number",
        description="Stands in the call record of a client who hides their number; the field may not be empty.",
    )
    default_user: str = Field(
        default="",
        pattern=r"^\d*$",
        title="Employee for nobody's tasks",
        description="Number of the user who gets a task for which the policy finds nobody: RetailCRM refuses tasks "
        "without an employee.",
    )
    creates_completed_tasks: bool = Field(
        default=False,
        title="Create tasks as completed",
        description="On: saves a request for each completed task, if RetailCRM takes 'complete' on creation (?).",
    )
    requests_per_second: int = Field(
        default=9,
        ge=1,
        le=40,
        title="Requests per second",
        description="For one key. RetailCRM allows 10; one is left for requests that draw closer on their way.",
    )
    customer_batch_size: int = Field(
        default=50, ge=1, le=50, title="Customers in one request", description="1: each by a request of its own."
    )
    order_batch_size: int = Field(
        default=50,
        ge=1,
        le=50,
        title="Orders in one request",
        description="Batches are meant for archives and may not fire all triggers (?): set 1 if your triggers stay "
        "silent.",
    )
    call_batch_size: int = Field(default=50, ge=1, le=50, title="Calls in one request", description="50 is the most.")
    page_size: int = Field(default=100, title="Records on a page", description="20, 50 or 100.")
    search_digits: int = Field(
        default=10,
        ge=6,
        le=15,
        title="Digits searched for",
        description="The end of a number that is searched for where the whole number finds nothing.",
    )
    name_limit: int = Field(default=255, ge=20, title="Longest name", description="Names are cut to this length.")
    text_limit: int = Field(default=5000, ge=100, title="Longest text", description="Notes, tasks, comments are cut.")
    task_title_limit: int = Field(
        default=255, ge=20, title="Longest task title", description="What is longer goes into the task's commentary."
    )
    clock_skew: timedelta = Field(
        default=timedelta(seconds=30),
        title="Clock difference",
        description="How far this machine's clock and RetailCRM's may be apart.",
    )
    customer_page: str = Field(
        default="/customers/{id}", title="Customer's page", description="Path of a customer's card for people (?)."
    )
    corporate_page: str = Field(
        default="/customers-corporate/{id}", title="Company's page", description="Path of a corporate customer (?)."
    )
    # (?) the account's own templates fill these in; no page that we know lists them
    panel_id_field: str = Field(
        default="{{ {record}.id }}",
        title="Template value of a record's number",
        description="For the link to the hub's card: {record} becomes customer or order.",
    )
    panel_user_field: str = Field(
        default="{{ user.email }}",
        title="Template value of whoever looks",
        description="For the link to the hub's card; empty: the page tells whose client it is, and no more.",
    )
    order_page: str = Field(default="/orders/{id}/edit", title="Order's page", description="Path of an order (?).")
    task_page: str = Field(default="/tasks/{id}/edit", title="Task's page", description="Path of a task (?).")

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value and "//" not in value:
            value = f"https://{value}"
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("an address such as https://yourcompany.retailcrm.ru")
        if parts.path:
            raise ValueError("the address ends after the host: https://yourcompany.retailcrm.ru")
        return value

    @field_validator("page_size")
    @classmethod
    def _is_page_size(cls, value: int) -> int:
        if value not in (20, 50, 100):
            raise ValueError("RetailCRM knows pages of 20, 50 and 100")
        return value

    @field_validator("api_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value().strip()
        if not key or not key.isascii() or any(char.isspace() for char in key):
            raise ValueError("the key is one word, as RetailCRM shows it")
        return SecretStr(key)

    @property
    def has_allowed_host(self) -> bool:
        """Whether the key may be sent to the address: the vendor's domains over TLS, or this machine if allowed."""
        parts = urlsplit(self.address)
        host = (parts.hostname or "").lower()
        if host in ("localhost", "::1") or host.startswith("127."):
            return self.is_loopback_allowed
        is_theirs = any(host.endswith(suffix) and host != suffix.lstrip(".") for suffix in self.allowed_hosts)
        return is_theirs and parts.scheme == "https"
