"""One webhook of Wazzup taken apart: a delivery may hold several kinds and several items of each (reference 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest

from . import wire
from .config import WazzupSettings
from .mapping import to_message, to_receipt

__all__ = ["Event", "owed_of", "parse_delivery"]

M = TypeVar("M", bound=BaseModel)

_SOURCE = "wazzup"
#: of one kind in one delivery; all are stored in one transaction, and other projects wait for it
_MOST_ITEMS = 1000


class Event(StrEnum):
    """The kinds of event: the top-level keys of a delivery."""

    TEST = "test"
    MESSAGES = "messages"
    STATUSES = "statuses"
    CREATE_CONTACT = "createContact"
    CREATE_DEAL = "createDeal"
    CHANNELS_UPDATES = "channelsUpdates"
    TEMPLATE_STATUS = "templateStatus"


def parse_delivery(request: RawRequest, channel: ChannelConfig, settings: WazzupSettings) -> list[Parsed]:
    """Everything that ``request`` tells. Raises PayloadError if none of it can be read.

    Where one item of several cannot be read, the others count, and it is named with its field in the journal.
    """
    found: list[Parsed] = []
    problems: list[PayloadError] = []

    def take(path: str, read: Callable[[], Parsed]) -> None:
        try:
            found.append(read())
        except PayloadError as err:
            problems.append(err)

    body = _body(request)
    for key, value in body.items():
        match key:
            case Event.TEST:
                found.append(Ignored(reason="Wazzup tries the address"))
            case Event.MESSAGES:
                for path, item in _items(key, value, problems):
                    take(path, lambda p=path, i=item: to_message(_read(wire.Message, p, i), channel, settings))  # type: ignore[misc]
            case Event.STATUSES:
                for path, item in _items(key, value, problems):
                    take(path, lambda p=path, i=item: to_receipt(_read(wire.Status, p, i)))  # type: ignore[misc]
            case Event.CREATE_CONTACT | Event.CREATE_DEAL:
                take(key, lambda k=key, v=value: _asked(k, v))  # type: ignore[misc]
            case Event.CHANNELS_UPDATES:
                for path, item in _items(key, value, problems):
                    take(path, lambda p=path, i=item: _update(_read(wire.ChannelUpdate, p, i)))  # type: ignore[misc]
            case Event.TEMPLATE_STATUS:
                take(key, lambda v=value: _template(_read(wire.TemplateStatus, "templateStatus", v)))  # type: ignore[misc]
            case _:
                problems.append(_problem(key, f"an event that is not known: {key[:60]}"))
    if problems and not found:
        raise _complete(problems[0], request)
    found += [Ignored(reason=f"not read: {one.field}: {one}") for one in problems]
    return found or [Ignored(reason="a delivery without anything in it")]


def owed_of(request: RawRequest) -> wire.CreateContact | wire.CreateDeal | None:
    """What Wazzup waits for in the response to ``request``; None for everything else and whatever cannot be read."""
    # most deliveries are messages: they are not parsed twice
    if b"create" not in request.body:
        return None
    try:
        body = _body(request)
        if Event.CREATE_CONTACT in body:
            return _read(wire.CreateContact, Event.CREATE_CONTACT, body[Event.CREATE_CONTACT])
        if Event.CREATE_DEAL in body:
            return _read(wire.CreateDeal, Event.CREATE_DEAL, body[Event.CREATE_DEAL])
    except PayloadError:
        pass
    return None


def _body(request: RawRequest) -> Mapping[str, Any]:
    """The JSON, whatever the content type says: Wazzup writes ``charset-utf-8`` (reference 4.3)."""
    if not request.body.strip():
        return {}
    try:
        found = orjson.loads(request.body)
    except orjson.JSONDecodeError as err:
        raise _complete(_problem("body", "the body is no JSON"), request) from err
    if not isinstance(found, Mapping):
        raise _complete(_problem("body", "the body must be a JSON object"), request)
    return found


def _items(key: str, value: Any, problems: list[PayloadError]) -> list[tuple[str, Any]]:
    if not isinstance(value, list):
        problems.append(_problem(key, f"{key} must be an array"))
        return []
    if len(value) > _MOST_ITEMS:
        raise _problem(key, f"{len(value)} {key} in one delivery, more than {_MOST_ITEMS}")
    return [(f"{key}[{index}]", item) for index, item in enumerate(value)]


def _read(model: type[M], path: str, value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        at = ".".join((path, *(str(part) for part in first["loc"])))
        raise _problem(at, first["msg"]) from err


def _asked(key: str, value: Any) -> Parsed:
    """The reply is owed in the response itself; contact and deal come from the messages (reference 12.2)."""
    asked: wire.CreateContact | wire.CreateDeal
    if key == Event.CREATE_CONTACT:
        asked = _read(wire.CreateContact, key, value)
    else:
        asked = _read(wire.CreateDeal, key, value)
    what = "a contact" if key == Event.CREATE_CONTACT else "a deal"
    return Ignored(reason=f"Wazzup asked for {what} (source {asked.source or 'unknown'}) and was answered")


def _update(found: wire.ChannelUpdate) -> Parsed:
    tier = f", {found.tier}" if found.tier else ""
    return Ignored(reason=f"channel {found.channel_id} is now {found.state or 'changed'}{tier}")


def _template(found: wire.TemplateStatus) -> Parsed:
    return Ignored(reason=f"the template {found.name} is now {found.status.lower()}")


def _problem(field: str, text: str) -> PayloadError:
    return PayloadError(text, source=_SOURCE, field=field)


def _complete(err: PayloadError, request: RawRequest) -> PayloadError:
    return PayloadError(str(err), source=_SOURCE, field=err.field, raw=request.body[:2000].decode("utf-8", "replace"))
