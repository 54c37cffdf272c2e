"""A Wazzup channel's settings: the key, what Wazzup is told, and each doubt of the vendor's documentation."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

__all__ = ["WazzupSettings"]


class WazzupSettings(BaseModel):
    """One Wazzup account with all its messengers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr = Field(
        default=SecretStr(""),
        title="API key",
        description="Wazzup cabinet, Integration with CRM, API. Without it messages are read but none is sent.",
    )
    key_kind: Literal["full", "sidecar"] = Field(
        default="full",
        title="Kind of key",
        description="full: from a connection of its own. sidecar: taken from Wazzup's own amoCRM or Bitrix24 "
        "integration; it sends and reads messages only, and Wazzup is told nothing of contacts and deals.",
    )
    take_over_webhooks: bool = Field(
        default=False,
        title="Take the webhooks over",
        description="Wazzup has one address for webhooks. If another system stands there, the hub warns and leaves it, "
        "unless this is on.",
    )
    share_users: bool = Field(
        default=True,
        title="Tell Wazzup of employees",
        description="Needed for roles and for the author of a message to be known.",
    )
    share_contacts: bool = Field(
        default=True,
        title="Tell Wazzup of contacts",
        description="Wazzup takes a client whom it was not told of for a new one and shares them out itself.",
    )
    share_deals: bool = Field(
        default=True, title="Tell Wazzup of deals", description="They are listed in the chat window, with their links."
    )
    share_pipelines: bool = Field(
        default=True,
        title="Tell Wazzup of pipelines",
        description="They can then be chosen in the cabinet; without one chosen Wazzup asks for no deals.",
    )
    wait_for_crm_seconds: int = Field(
        default=0,
        ge=0,
        le=25,
        title="Wait for the CRM (seconds)",
        description="Wazzup asks for a contact or deal and waits up to 30 seconds. 0 answers at once with an id of the "
        "hub; more waits so long until the CRM's record is there, if Wazzup does not take the hub's id.",
    )
    poll_counters: bool = Field(
        default=True,
        title="Watch the counters",
        description="When an employee presses «No reply needed» in Wazzup, only the counter tells. At zero the "
        "employee's message tasks are closed.",
    )
    read_groups: bool = Field(
        default=False,
        title="Read group chats",
        description="A group is nobody's contact: its messages are put aside unless this is on.",
    )
    robot_names: tuple[str, ...] = Field(
        default=("Salesbot", "SalesBot", "Бот", "Bot"),
        title="Names of robots",
        description="Messages with one of these as author answer nobody: the client goes on waiting. Messages with "
        "Salesbot's buttons count as a robot's anyway.",
    )
    authorless_is_robot: bool = Field(
        default=False,
        title="Messages without an author are a robot's",
        description="Off: an employee wrote them on the telephone of the number. On: another program sent them.",
    )
    repeat_window_seconds: int = Field(
        default=50,
        ge=0,
        le=60,
        title="Repeat within (seconds)",
        description="Wazzup recognises a repeated message for 60 seconds. Within this time a message whose answer was "
        "lost is sent again; later it is looked for, and left to a person.",
    )
    api_base: str = Field(
        default="https://api.wazzup24.com/v3",
        title="Address of the API",
        description="Only a test server has another one.",
    )

    @field_validator("api_key", mode="before")
    @classmethod
    def _key_may_be_pasted_with_its_scheme(cls, value: object) -> object:
        """A key copied with "Bearer " in front is tolerated (reference 1)."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str):
            return SecretStr(text.strip().removeprefix("Bearer").strip())
        return value

    @field_validator("api_base")
    @classmethod
    def _is_a_safe_address(cls, value: str) -> str:
        parts = urlsplit(value.strip().rstrip("/"))
        host = parts.hostname or ""
        try:
            is_local = ip_address(host).is_loopback
        except ValueError:
            is_local = host == "localhost"
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
            raise ValueError("must be an https address")
        return value.strip().rstrip("/")

    @property
    def shared(self) -> frozenset[str]:
        """What Wazzup is told of."""
        if self.key_kind == "sidecar" or not self.api_key.get_secret_value():
            return frozenset()
        wanted = {
            "users": self.share_users,
            "contacts": self.share_contacts,
            "deals": self.share_deals,
            "pipelines": self.share_pipelines,
        }
        return frozenset(kind for kind, is_shared in wanted.items() if is_shared)
