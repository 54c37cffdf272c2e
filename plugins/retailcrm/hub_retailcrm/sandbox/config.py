"""What a sandbox is started with, and the switches that may be turned while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub_sandbox import CrmSwitches

from .account import Account


@dataclass(slots=True, kw_only=True)
class Switches(CrmSwitches):
    """The behaviour of the server, changeable at any moment through ``/_sandbox/switches``."""

    #: ordinary methods in any sliding second per key; None switches the limit off (1, Limits)
    limit_per_second: int | None = 10
    #: methods under ``/telephony``, counted for themselves
    telephony_per_second: int | None = 40
    #: seconds by which the history methods lag behind writes
    history_lag_seconds: float = 0.0
    #: the sub-domain is unknown: JSON 400 for GET, the web server's HTML 405 for POST
    account_is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What a sandbox begins with. Every part has a default that works."""

    account: Account = field(default_factory=Account)
    switches: Switches = field(default_factory=Switches)
    #: of every random choice: latency, late applications
    seed: int = 1
    #: unix seconds at which the sandbox's clock starts; None: real time
    start_at: float | None = None
