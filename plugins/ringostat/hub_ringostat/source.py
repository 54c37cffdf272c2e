"""Ringostat as a channel: webhooks in, forwarding answers out, the call log and the employees read."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from hub.errors import HubError, PayloadError
from hub.ports import ChannelConfig, Parsed, RawRequest, SetupHint

from .config import RingostatSettings
from .mapping import Event, parse_record
from .parameters import Parameters
from .payload import read_payloads
from .setup import setup_hints

__all__ = ["RingostatSource"]


class RingostatSource:
    """Ringostat telephony (R1 to R3, X7)."""

    name = "ringostat"
    settings_model: type[BaseModel] = RingostatSettings
    events: tuple[str, ...] = tuple(event.value for event in Event)

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """Nothing: Ringostat signs nothing, the secret in the address is all there is (reference A.2)."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """What ``request`` tells: one fragment, form or "ignored" for each record in it. Raises PayloadError."""
        settings = settings_of(channel)
        try:
            records = read_payloads(request, nested_key=settings.nested_key)
            return [
                parse_record(Parameters(record, channel, settings), channel, settings, received_at=request.received_at)
                for record in records
            ]
        except PayloadError as err:
            raise _complete(err, request) from err.__cause__

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """The addresses, parameters and the scheme to enter in the cabinet (H12, R4)."""
        return setup_hints(settings_of(channel), hook_url, forward_url)


def settings_of(channel: ChannelConfig) -> RingostatSettings:
    """The channel's settings, typed."""
    settings = channel.settings
    if not isinstance(settings, RingostatSettings):
        raise HubError(f"channel {channel.name} has the settings of another source")
    return settings


def _complete(err: PayloadError, request: RawRequest) -> PayloadError:
    raw = request.body or request.query
    return PayloadError(
        str(err), source=RingostatSource.name, field=err.field, raw=raw[:2000].decode("utf-8", "replace")
    )
