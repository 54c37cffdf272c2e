"""A server that plays Wazzup: API v3, webhooks out, people who write (H10).

Written from the vendor reference alone; shares no line with the plugin's client, wire or mapping.

    with serve(Sandbox()) as (sandbox, api_base):
        sandbox.account.subscription.uri = "http://127.0.0.1:8000/hooks/…"
        await sandbox.people.client_writes("380671234567", "Is the table in stock?")
"""

from .clock import SandboxClock
from .fault import Fault
from .hooks import Delivered
from .server import Sandbox, serve
from .state import Account, ChannelState, Sitting, SubscriptionState

__all__ = [
    "Account",
    "ChannelState",
    "Delivered",
    "Fault",
    "Sandbox",
    "SandboxClock",
    "Sitting",
    "SubscriptionState",
    "serve",
]
