"""The notification channel: made when the hub connects, renewed at half of its life (8)."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.errors import NeedsCredentials, Rejected, Stale
from hub.ports import ConnectionContext
from hub_zoho.client import Item, ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.webhook import MODULES, channel_token
from hub_zoho.wire import Outcome

__all__ = ["Channels"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """One connection's channel. Polling is complete without it; it only makes changes known sooner."""

    client: ZohoClient
    settings: ZohoSettings
    context: ConnectionContext

    async def ensure(self, *, is_forced: bool = False) -> str:
        """Make the channel, or renew one that has lived half of its life; why there is none, "" if all is well.

        No request while the channel is fresh. Raises Throttled and Unavailable.
        """
        url = self.context.webhook_url
        if not url or not self.settings.subscribes:
            return ""
        value, _version = await self.context.state.load()
        held = value.get("channel") or {}
        now = self.context.clock.now()
        until = datetime.fromtimestamp(held.get("until", 0), UTC)
        is_same = held.get("url") == url
        if is_same and not is_forced and until - now > self.settings.channel_life / 2:
            return ""
        try:
            outcome = await self._subscribe(url, is_known=bool(held), now=now)
        except (Rejected, Stale, NeedsCredentials) as err:
            return f"Zoho's notifications are not available, changes are polled instead ({err})."
        if not outcome.is_done:
            return f"Zoho refused the notification channel: {outcome.code} {outcome.api_name} {outcome.message}"
        await self._remember({"url": url, "until": (now + self.settings.channel_life).timestamp()})
        return ""

    async def _subscribe(self, url: str, *, is_known: bool, now: datetime) -> Outcome:
        modules = [module for module in MODULES if module != "Accounts" or self.settings.uses_accounts]
        item: Item = {
            "channel_id": self._channel_id(),
            "events": [f"{module}.all" for module in modules],
            "channel_expiry": (now + self.settings.channel_life).astimezone(UTC).isoformat(timespec="seconds"),
            "token": channel_token(self.settings, self.context.project, self.context.name),
            "notify_url": url,
            "return_affected_field_values": False,
            "notify_on_related_action": False,
        }
        if is_known:
            try:
                outcome = await self.client.watch("PUT", item)
                if outcome.is_done:
                    return outcome
            except Rejected as err:
                # it expired while the hub was off
                log.info("the channel was gone: %s", err, extra={"action": "zoho.channel_gone"})
        return await self.client.watch("POST", item)

    def _channel_id(self) -> str:
        """Ours to choose; the same for a connection, so that a second subscription replaces the first."""
        seed = f"{self.context.project}/{self.context.name}".encode()
        return str(10**12 + int(hashlib.sha256(seed).hexdigest()[:9], 16))

    async def _remember(self, channel: dict[str, object]) -> None:
        while True:
            value, version = await self.context.state.load()
            try:
                await self.context.state.save({**value, "channel": channel}, version)
            except Stale:
                continue  # another part was saved meanwhile
            return
