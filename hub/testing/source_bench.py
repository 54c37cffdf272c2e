"""A source on the bench of the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from hub.core.chat import ChatFragment, ClientChanged
from hub.core.interaction import Chat, Form, Message
from hub.core.merge import CallFragment
from hub.core.outgoing import Receipt
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest
from hub.testing.check import expect, fail, told
from hub.testing.outfit import SourceOutfit

__all__ = ["SUFFIXES", "SourceBench", "is_sound"]

SUFFIXES = (".json", ".form", ".query")
_KINDS = (CallFragment, ChatFragment, ClientChanged, Form, Chat, Message, Receipt, Ignored)


class SourceBench:
    """A source with its channel and its payload files read."""

    def __init__(self, outfit: SourceOutfit) -> None:
        self.outfit, self.source = outfit, outfit.source
        try:
            settings = self.source.settings_model.model_validate(dict(outfit.settings))
        except ValueError as err:
            fail(f"the outfit's settings do not fit {self.source.settings_model.__name__}: {err}", err)
        self.channel = ChannelConfig(
            project="conformance",
            name="channel",
            source=self.source.name,
            settings=settings,
            region=outfit.region,
            time_zone=outfit.time_zone,
        )
        self._requests: dict[str, RawRequest] | None = None

    @property
    def files(self) -> list[Path]:
        """The payload files, by name."""
        folder = self.outfit.payloads
        if not folder.is_dir():
            fail(f"there is no folder of payload files at {folder}")
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)

    @property
    def requests(self) -> Mapping[str, RawRequest]:
        """The payload files as requests, by file name."""
        if self._requests is None:
            self._requests = {path.name: self.outfit.to_request(path) for path in self.files}
        return self._requests

    @property
    def readable(self) -> Mapping[str, RawRequest]:
        """Those that the source must be able to read."""
        return {name: one for name, one in self.requests.items() if name not in self.outfit.refused}

    def parse(self, request: RawRequest, what: str, channel: ChannelConfig | None = None) -> list[Parsed]:
        """What the source makes of a good request; anything that it raises is reported."""
        try:
            return list(self.source.parse(request, channel or self.channel))
        except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
            fail(f"{what}: parse raised {told(err)}", err)


def is_sound(one: Parsed) -> None:
    """Report what is wrong with one parsed thing, whatever it tells."""
    expect(isinstance(one, _KINDS), f"parse returned {type(one).__name__}, which is none of hub.ports.Parsed")
    if isinstance(one, Ignored):
        expect(bool(one.reason.strip()), "Ignored without a reason")
        return
    expect(
        isinstance(one, ClientChanged) or bool(one.external_id),
        f"{type(one).__name__} without the vendor's id (external_id)",
    )
    for name in ("started_at", "ended_at", "happened_at", "at"):
        moment = getattr(one, name, None)
        expect(moment is None or isinstance(moment, datetime), f"{name} is no datetime but {moment!r}")
        expect(moment is None or moment.tzinfo is not None, f"{name} has no time zone: {moment}")
    if isinstance(one, Receipt):
        return
    for phone in one.client.phones:
        expect(phone.startswith("+") and phone[1:].isdigit(), f"the client's number is not E.164: {phone!r}")
    for name in ("waiting_seconds", "duration_seconds", "talk_seconds"):
        seconds = getattr(one, name, None)
        expect(seconds is None or seconds >= 0, f"{name} is negative: {seconds}")
    texts = {key: value for key, value in one.parameters.items() if not isinstance(value, str)}
    expect(not texts, f"parameters are texts, not {texts}")
