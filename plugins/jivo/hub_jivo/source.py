"""Jivo as a channel: chats, offline messages and calls in; what the CRM knows out, beside the chat (J1)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from pydantic import BaseModel, ValidationError

from hub.errors import HubError, PayloadError
from hub.messenger import KnownClient, OwedQuestion
from hub.ports import ChannelConfig, Parsed, RawRequest, Reply, SetupHint

from . import wire
from .config import JivoSettings
from .mapping import EVENTS, EventName, to_identity, to_parsed
from .reply import PLAIN, to_reply
from .setup import setup_hints

__all__ = ["JivoSource"]

#: nothing but the plain answer is owed
_NOTHING = "nothing"


class JivoSource:
    """Jivo (J1): also `hub.messenger.OwesReply`. The vendor offers no way to list chats or operators (reference 1)."""

    name = "jivo"
    settings_model: type[BaseModel] = JivoSettings
    events: tuple[str, ...] = EVENTS

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """Nothing: Jivo signs nothing, the secret in the address is all there is (reference 1)."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """What the one event in ``request`` tells. Raises PayloadError, naming the field."""
        try:
            event = _read(request)
            return [to_parsed(event, channel, _settings_of(channel), request.received_at)]
        except PayloadError as err:
            raw = request.body[:2000].decode("utf-8", "replace")
            raise PayloadError(str(err), source=self.name, field=err.field, raw=raw) from err.__cause__

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """Where the address is entered (H12)."""
        return setup_hints(hook_url)

    # --- OwesReply

    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        """Every event is answered; the full answer is for an operator who has just taken a chat (reference 5)."""
        settings = _settings_of(channel)
        try:
            event = _read(request)
        except PayloadError:
            return OwedQuestion(kind=_NOTHING, otherwise=PLAIN)
        wants_all = event.event_name == EventName.CHAT_ACCEPTED or (
            event.event_name == EventName.CHAT_UPDATED and settings.answer_changes
        )
        if not wants_all or (settings.widget_id and event.widget_id not in ("", settings.widget_id)):
            return OwedQuestion(kind=_NOTHING, otherwise=PLAIN)
        client = to_identity(event, channel, settings)
        return OwedQuestion(kind=event.event_name, client=client, otherwise=PLAIN)

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        """What the CRM knows of the client; the plain answer to what asks nothing."""
        return PLAIN if question.kind == _NOTHING else to_reply(question, client, _settings_of(channel))


def _settings_of(channel: ChannelConfig) -> JivoSettings:
    settings = channel.settings
    if not isinstance(settings, JivoSettings):
        raise HubError(f"channel {channel.name} has the settings of another source")
    return settings


def _read(request: RawRequest) -> wire.Event:
    """The event in the body, whatever the header says of its type. Raises PayloadError."""
    try:
        # what is not UTF-8 is still worth reading: numbers and ids are ASCII
        found = orjson.loads(request.body.decode("utf-8-sig", "replace"))
    except orjson.JSONDecodeError as err:
        raise PayloadError(f"the body is not JSON: {err}", field="body") from err
    if not isinstance(found, dict):
        raise PayloadError(f"the body must be a JSON object, not {type(found).__name__}", field="body")
    try:
        return wire.Event.model_validate(found)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PayloadError(f"{field}: {first['msg']}", field=field) from err
