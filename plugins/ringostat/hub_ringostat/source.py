"""Ringostat as a channel: webhooks in, forwarding answers out, the call log and the employees read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import BaseModel

from hub.core.interaction import Disposition
from hub.core.merge import CallFragment
from hub.errors import HubError, PayloadError
from hub.ports import (
    ChannelConfig,
    ForwardingAnswer,
    ForwardingQuestion,
    Ignored,
    Pace,
    Parsed,
    RawRequest,
    Reply,
    SetupHint,
    SourceEmployee,
)

from .client import CallbackParty, Marketing, RingostatClient
from .config import RingostatSettings
from .forwarding import forwarding_question, forwarding_reply
from .mapping import Event, parse_record, to_employee
from .parameters import Parameters
from .payload import read_payloads, text_of
from .setup import setup_hints

__all__ = ["RingostatSource"]


class RingostatSource:
    """Ringostat telephony (R1 to R3, X7): also AnswersForwarding, ListsInteractions and ListsEmployees."""

    name = "ringostat"
    settings_model: type[BaseModel] = RingostatSettings
    events: tuple[str, ...] = tuple(event.value for event in Event)
    #: of the API; no limit is published, so one request a second
    pace = Pace(requests=1, per=timedelta(seconds=1), scope="account", source="reference C.1: no limit is published")

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """Nothing: Ringostat signs nothing, the secret in the address is all there is (reference A.2)."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """What ``request`` tells: one fragment, form or "ignored" for each record in it. Raises PayloadError."""
        settings = _settings_of(channel)
        try:
            records = read_payloads(request, nested_key=settings.nested_key)
            parsed = [
                parse_record(Parameters(record, channel, settings), channel, settings, received_at=request.received_at)
                for record in records
            ]
        except PayloadError as err:
            raise _complete(err, request) from err.__cause__
        return parsed if len(parsed) == 1 else _one_after_another(parsed)

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """The addresses, parameters and the scheme to enter in the cabinet (H12, R4)."""
        return setup_hints(_settings_of(channel), hook_url, forward_url)

    # --- AnswersForwarding

    def forwarding_question(self, request: RawRequest, channel: ChannelConfig) -> ForwardingQuestion:
        """See `hub_ringostat.forwarding.forwarding_question`."""
        return forwarding_question(request, channel, _settings_of(channel))

    def forwarding_reply(self, question: ForwardingQuestion, answer: ForwardingAnswer, channel: ChannelConfig) -> Reply:
        """See `hub_ringostat.forwarding.forwarding_reply`."""
        return forwarding_reply(question, answer, _settings_of(channel))

    # --- ListsInteractions

    async def list_interactions(
        self, channel: ChannelConfig, http: httpx.AsyncClient, since: datetime, until: datetime
    ) -> AsyncIterator[Parsed]:
        """Calls that began in ``[since, until)`` and are over, each row once, as recovered fragments (X7).

        The vendor does not say in which zone it reads the period: it is asked with an overlap on both sides and cut
        by the parsed time. Calls that are still alive are left out: the next reading finds them. A row that cannot
        be read comes as Ignored with its reason. Raises VendorError.
        """
        settings = _settings_of(channel)
        overlap = timedelta(hours=settings.list_overlap_hours)
        client = RingostatClient(http, settings, connection=channel.name)
        seen: set[tuple[tuple[str, str], ...]] = set()
        async for row in client.calls(since - overlap, until + overlap):
            flat = {str(key): text_of(value) for key, value in row.items()}
            key = tuple(sorted(flat.items()))
            if key in seen:
                continue
            seen.add(key)
            parsed = _row(flat, channel, settings)
            if isinstance(parsed, Ignored) or _is_over(parsed, since, until):
                yield parsed

    # --- ListsEmployees

    async def list_employees(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[SourceEmployee]:
        """The project's employees with their destinations, the preferred first (H12). Raises VendorError."""
        client = RingostatClient(http, _settings_of(channel), connection=channel.name)
        return [to_employee(staff) for staff in await client.staff()]

    # --- callbacks

    def can_ring(self, channel: ChannelConfig) -> bool:
        """Ordering a call needs the project's id and an Auth-key (reference C.4)."""
        settings = _settings_of(channel)
        return bool(settings.project_id and settings.auth_key.get_secret_value())

    async def ring(
        self,
        channel: ChannelConfig,
        http: httpx.AsyncClient,
        *,
        client: str,
        employee: str,
        direction: str = "out",
        marketing: Mapping[str, str] | None = None,
    ) -> Any:
        """Order a call between a client's number and an employee's destination (reference C.4). Raises VendorError."""
        return await RingostatClient(http, _settings_of(channel), connection=channel.name).ring(
            CallbackParty(value=client.lstrip("+")),
            CallbackParty(value=employee.lstrip("+")),
            direction=direction,
            marketing=Marketing(**marketing) if marketing else None,
        )

    async def ring_simply(
        self, channel: ChannelConfig, http: httpx.AsyncClient, *, line: str, destination: str
    ) -> None:
        """Order a call from the project's ``line`` to ``destination`` (reference C.3). Raises VendorError."""
        await RingostatClient(http, _settings_of(channel), connection=channel.name).ring_simply(
            line.lstrip("+"), destination.lstrip("+")
        )


def _settings_of(channel: ChannelConfig) -> RingostatSettings:
    settings = channel.settings
    if not isinstance(settings, RingostatSettings):
        raise HubError(f"channel {channel.name} has the settings of another source")
    return settings


def _one_after_another(parsed: Sequence[Parsed]) -> list[Parsed]:
    """Records that came in one request stand in the order of the call: each ended before the next one's talk."""
    later = timedelta()
    found: list[Parsed] = []
    for one in reversed(parsed):
        if isinstance(one, CallFragment) and one.happened_at:
            one = replace(one, happened_at=one.happened_at - later)
            later += timedelta(seconds=one.talk_seconds or 0, microseconds=1)
        found.append(one)
    return found[::-1]


def _row(flat: Mapping[str, str], channel: ChannelConfig, settings: RingostatSettings) -> Parsed:
    try:
        return parse_record(Parameters(flat, channel, settings), channel, settings, received_at=None, event=Event.AFTER)
    except PayloadError as err:
        return Ignored(reason=f"a row of the call log could not be read: {err}")


def _is_over(parsed: Parsed, since: datetime, until: datetime) -> bool:
    if not isinstance(parsed, CallFragment) or parsed.disposition is Disposition.PENDING:
        return False
    return parsed.started_at is None or since <= parsed.started_at < until


def _complete(err: PayloadError, request: RawRequest) -> PayloadError:
    raw = request.body or request.query
    return PayloadError(
        str(err), source=RingostatSource.name, field=err.field, raw=raw[:2000].decode("utf-8", "replace")
    )
