"""Parrot as a `hub.ports.Source` that also asks who is responsible before it rings (`hub.ports.AnswersForwarding`)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from hub.core.interaction import Destination, Direction, Disposition, Identity
from hub.core.merge import CallFragment, Moment
from hub.core.phone import parse_phone
from hub.errors import AccessError, PayloadError
from hub.ports import (
    ChannelConfig,
    ForwardingAnswer,
    ForwardingQuestion,
    Parsed,
    RawRequest,
    Reply,
    SetupHint,
)
from hub_parrot.config import ParrotSettings
from hub_parrot.wire import Webhook

__all__ = ["ParrotSource"]

_MOMENTS = {"ringing": Moment.RINGING, "ended": Moment.ENDED, "rated": Moment.RATED}


class ParrotSource:
    """Three events for each call: it rings, it ended, the client gave it a mark."""

    name = "parrot"
    settings_model: type[BaseModel] = ParrotSettings
    events: tuple[str, ...] = ("ringing", "ended", "rated")

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """``X-Signature`` is the body's HMAC-SHA256 in hex. Raises AccessError."""
        assert isinstance(channel.settings, ParrotSettings)
        secret = channel.settings.secret.get_secret_value()
        if not secret:
            return
        wanted = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), request.header("x-signature").encode("utf-8", "replace")):
            raise AccessError("the signature does not fit", endpoint="hooks")

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """One fragment of a call. Raises PayloadError, naming the field."""
        try:
            told = Webhook.model_validate_json(request.body)
        except ValidationError as err:
            first = err.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "body"
            raw = request.body[:2000].decode("utf-8", "replace")
            raise PayloadError(f"{field}: {first['msg']}", source=self.name, field=field, raw=raw) from err
        return [_fragment(told, channel)]

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """What to enter in Parrot's cabinet."""
        return [
            SetupHint(where="Settings, Webhooks, Address", value=hook_url, note="Tick all three events."),
            SetupHint(where="Settings, Routing, Ask before ringing", value=forward_url),
        ]

    # --- AnswersForwarding

    def forwarding_question(self, request: RawRequest, channel: ChannelConfig) -> ForwardingQuestion:
        """``?caller=…&call=…``; total: what cannot be read is a question without a caller."""
        pairs = parse_qsl(request.query[:2000].decode("utf-8", "replace"))
        told = dict(pairs)
        caller = parse_phone(told.get("caller", ""), channel.region, eight_is_seven=channel.eight_is_seven)
        return ForwardingQuestion(caller=caller, call_id=told.get("call", ""), parameters=told)

    def forwarding_reply(self, question: ForwardingQuestion, answer: ForwardingAnswer, channel: ChannelConfig) -> Reply:
        """The login alone; nothing for nobody."""
        return Reply(body=answer.destination.encode())


def _fragment(told: Webhook, channel: ChannelConfig) -> CallFragment:
    client = parse_phone(told.client, channel.region, eight_is_seven=channel.eight_is_seven)
    has_ended = told.event == "ended"
    missed = Disposition.MISSED
    return CallFragment(
        external_id=told.call,
        moment=_MOMENTS[told.event],
        started_at=told.began,
        direction=Direction.INBOUND if told.incoming else Direction.OUTBOUND,
        disposition=(Disposition.ANSWERED if told.talk else missed) if has_ended else None,
        client=Identity(phones=(client,) if client else ()),
        line=parse_phone(told.line, channel.region),
        destination=Destination(login=told.employee) if told.employee else None,
        talk_seconds=told.talk if has_ended else None,
        recording=told.recording,
        rating=told.mark,
        parameters={name: str(value) for name, value in told.model_dump(mode="json").items()},
    )
