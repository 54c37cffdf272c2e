"""The account's one address for webhooks: ours, nobody's, or another system's (reference 4)."""

from __future__ import annotations

from urllib.parse import urlsplit

from hub.messenger import Subscription

from .client import WazzupClient
from .config import WazzupSettings
from .wire import Webhooks

__all__ = ["LONGEST_URI", "WANTED", "subscribe"]

LONGEST_URI = 200
#: all by their documented names; a sidecar key knows no creation
WANTED = ("messagesAndStatuses", "contactsAndDealsCreation", "channelsUpdates", "templateStatus")
#: under which other names the API tells of a subscription (reference 4.1)
_ALIASES = {"templateStatus": ("wabaTemplatesStatus", "templateStatuses")}


async def subscribe(client: WazzupClient, settings: WazzupSettings, hook_url: str) -> Subscription:
    """Let Wazzup send everything to ``hook_url``; another system's address is taken over if the settings say so.

    GET /webhooks, and PATCH /webhooks if something is to change; during it Wazzup tries the address.
    """
    if len(hook_url) > LONGEST_URI:
        return Subscription(state="refused", problem=f"the address is longer than {LONGEST_URI} characters")
    wanted = {name: True for name in WANTED if settings.key_kind == "full" or name != "contactsAndDealsCreation"}
    found = await client.webhooks()
    is_other = bool(found.uri) and found.uri != hook_url and any(found.subscriptions.values())
    if is_other and not settings.take_over_webhooks:
        host = urlsplit(found.uri).hostname or "another system"
        return Subscription(state="elsewhere", problem=f"Wazzup sends its webhooks to {host}")
    if found.uri == hook_url and all(_is_on(found, name) for name in wanted):
        return Subscription(state="ours")
    await client.set_webhooks(hook_url, wanted)
    return Subscription(state="ours", is_new=True)


def _is_on(found: Webhooks, name: str) -> bool:
    return any(found.subscriptions.get(key, False) for key in (name, *_ALIASES.get(name, ())))
