"""What a sandbox is started with, and the switches that may be turned while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub_sandbox import CrmSwitches

from .account import DEFAULT_ACCOUNT, AccountSeed

CLIENT_ID = "5f1c0a00-7a1e-4c3e-9d55-0a0b0c0d0e0f"
CLIENT_SECRET = "sandbox-secret-of-the-integration-0123456789-abcdefghijklmnop"  # noqa: S105 - a stand-in's


@dataclass(slots=True, kw_only=True)
class Integration:
    """One integration of the account: what its card in the CRM shows."""

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    redirect_uri: str = "http://127.0.0.1:8000/oauth/amocrm/callback"
    #: Called with GET when the client switches the integration off; None: not configured.
    disconnect_url: str | None = None
    scopes: tuple[str, ...] = ("crm", "notifications")


@dataclass(slots=True, kw_only=True)
class Switches(CrmSwitches):
    """The sandbox's behaviour, changeable at any moment through ``/_sandbox/switches``."""

    #: Requests allowed in any sliding second per integration; None switches the limit off.
    limit_per_second: int | None = 7
    #: Violations, not separated by a clean second, before the HTML ban; None: never.
    ban_after: int | None = 50
    #: Seconds sent as Retry-After with a 429; None: no such header (the live server's habit).
    retry_after: int | None = None
    #: Off: ``filter[...]`` on leads, contacts and companies is silently ignored.
    is_api_filter_enabled: bool = True
    #: On: the good items of a batch with a bad one are saved; the answer is 400 either way.
    partial_batches: bool = False
    #: On: ``leads/complex`` joins a known phone with an active lead of the pipeline (``merged``).
    duplicate_control: bool = False
    webhooks_enabled: bool = True
    webhook_duplicates: bool = False
    webhook_reorder: bool = False
    #: Real seconds that a webhook's receiver has for its answer.
    webhook_timeout_seconds: float = 2.0
    #: Every call is answered 402.
    unpaid: bool = False
    #: The consent page redirects at once, as if somebody had pressed "allow".
    auto_consent: bool = False
    #: Host that the account moved to; other hosts answer 401 (API) and 404 (tokens).
    moved_to: str | None = None
    #: ``aud`` of the tokens that the account's pages get; None: made of the integration's redirect address.
    token_audience: str | None = None
    #: So long ago the tokens of the account's pages were issued; more than 1800 makes them expired.
    token_age_seconds: int = 0
    #: Host put into ``referer`` after consent; None: the host that the page was asked from.
    referer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What a sandbox begins with. Every part has a default that works."""

    account: AccountSeed = DEFAULT_ACCOUNT
    integration: Integration = field(default_factory=Integration)
    switches: Switches = field(default_factory=Switches)
    #: Seed of every random choice: latency, late applications, reordering.
    seed: int = 1
    #: Unix seconds at which the sandbox's clock starts; None: real time.
    start_at: float | None = None
