"""What a project offers beside its CRM: calling back, writing to clients, addresses of records."""

from __future__ import annotations

from hub.core.records import EmployeeId, RecordRef
from hub.engine.projects import LiveConnection, LiveProject
from hub.messenger import FramesChats
from hub.ports import ChannelConfig
from hub.runtime.card_view import RecordUrl
from hub.runtime.services import Services
from hub.widget_seam import RingsBack

__all__ = ["abilities_of", "framing_channel", "record_url", "ringing_channel"]


def framing_channel(services: Services, live: LiveProject) -> tuple[FramesChats, ChannelConfig] | None:
    """The first channel whose vendor shows its dialogues in a frame; None if none does."""
    for channel in live.channels.values():
        source = services.plugins.sources.get(channel.source)
        if isinstance(source, FramesChats):
            return source, channel
    return None


def ringing_channel(services: Services, live: LiveProject) -> tuple[RingsBack, ChannelConfig] | None:
    """The first channel whose telephony can ring two people together; None if none can."""
    for channel in live.channels.values():
        source = services.plugins.sources.get(channel.source)
        if isinstance(source, RingsBack) and source.can_ring(channel):
            return source, channel
    return None


def abilities_of(services: Services, live: LiveProject, employee: EmployeeId | None) -> frozenset[str]:
    """``write`` where a channel frames its dialogues, ``call`` where one rings and the employee has a destination."""
    found = set()
    if employee is None or services.composer is None or live.policy is None:
        return frozenset()
    if framing_channel(services, live) is not None:
        found.add("write")
    if employee in live.policy.destinations and ringing_channel(services, live) is not None:
        found.add("call")
    return frozenset(found)


def record_url(services: Services, live: LiveProject, connection: LiveConnection) -> RecordUrl:
    """Addresses of the connection's records for people, "" while the account is not open in this process."""

    def url(ref: RecordRef) -> str:
        account = services.accounts.get((live.name, connection.name))
        return account.session.record_url(ref) if account else ""

    return url
