"""What a sandbox is started with, and the switches that may be turned while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub_sandbox import CrmSwitches


@dataclass(slots=True, kw_only=True)
class Credentials:
    """The client as the vendor's API console shows it."""

    client_id: str = "1000.SANDBOXCLIENT0123456789ABCDEFGH"
    client_secret: str = "sandbox-secret-0123456789abcdef0123456789abcdef01"  # noqa: S105 - a stand-in's
    redirect_uri: str = "http://127.0.0.1:8000/oauth/zoho/callback"


#: every scope that a call of this API may want (section 1)
ALL_SCOPES = (
    "ZohoCRM.modules.ALL",
    "ZohoSearch.securesearch.READ",
    "ZohoCRM.coql.READ",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.notifications.ALL",
)


@dataclass(slots=True, kw_only=True)
class Switches(CrmSwitches):
    """The sandbox's behaviour, changeable at any moment through ``/_sandbox/switches``."""

    #: calls in flight per organisation; None: no limit (Standard edition: 10)
    concurrency: int | None = 10
    #: the same for COQL, conversion and writes of more than ten records
    sub_concurrency: int | None = 10
    #: credits of any 24 hours; None: no limit
    credits: int | None = 50_000
    #: the status of a write of which every record failed: 400 or 202, vendors' versions differ
    all_failed_status: int = 400
    #: moments with a fraction of a second are refused
    refuses_fractions: bool = True
    notifications_enabled: bool = True
    #: each notification comes twice
    notification_duplicates: bool = False
    #: real seconds that a notification's receiver has for its answer
    notification_timeout_seconds: float = 2.0
    #: the consent page redirects at once, as if somebody had pressed "accept"
    auto_consent: bool = False
    #: lifetime of access tokens
    token_seconds: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What a sandbox begins with. Every part has a default that works."""

    credentials: Credentials = field(default_factory=Credentials)
    switches: Switches = field(default_factory=Switches)
    #: seed of every random choice: latency, late applications
    seed: int = 1
    #: the organisation's zone; answers carry its offset
    time_zone: str = "Europe/Kyiv"
    scopes: tuple[str, ...] = ALL_SCOPES
    #: off: the organisation has no field "Hub ID" and the mark stands in descriptions
    has_hub_id: bool = True
