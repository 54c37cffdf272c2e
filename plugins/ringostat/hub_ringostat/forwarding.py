"""The webhook number: Ringostat asks before it rings, the answer names a destination (R2, reference part B).

This is the millisecond path: no pydantic, no exceptions on the ordinary way, each place is read only when the ones
before it did not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from hub.core.phone import Phone, parse_phone
from hub.ports import ChannelConfig, ForwardingAnswer, ForwardingQuestion, RawRequest, Reply

from .config import QuestionShape, ReplyForm, RingostatSettings, RpcResult
from .parameters import parse_party
from .payload import text_of

__all__ = ["forwarding_question", "forwarding_reply"]

_JSON = "application/json"
_MOST_FIELDS = 200
#: sets of names that are remembered; one vendor sends few
_MOST_SHAPES = 64
#: a text up to this length is remembered unquoted
_SHORT = 64


def forwarding_question(request: RawRequest, channel: ChannelConfig, settings: RingostatSettings) -> ForwardingQuestion:
    """The question in ``request``: total, what cannot be read is a question without a caller.

    Parameters are looked for in a JSON body (root, ``params`` as an object, ``params[0]``), a form body, the query
    and last the headers, in which ``_`` and ``-`` are equal (reference B.1). Values inside JSON are percent-encoded
    (B.2) and a hidden caller (``anonymous``, empty) is None.
    """
    short = None if request.query else _read_usual(request.body, channel, settings)
    if short is not None:
        return short
    found: dict[str, str] = {}
    reply_to = _read_body(request, found)
    if request.query:
        _read_pairs(request.query, found)
    callers, lines, own, calls = settings.question_names
    if not _first(found, callers):
        _read_headers(request, found, settings)
    return ForwardingQuestion(
        caller=_phone(found, callers, channel),
        uuid=_first(found, own),
        call_id=_first(found, calls),
        line=_phone(found, lines, channel),
        parameters=found,
        reply_to=reply_to,
    )


def forwarding_reply(question: ForwardingQuestion, answer: ForwardingAnswer, settings: RingostatSettings) -> Reply:
    """``answer`` in the form that the cabinet expects, always 200 (reference B.3).

    Nothing found is an empty body, or an empty string under the key; never words, which could be dialled.
    """
    form = settings.reply_form
    if form is ReplyForm.PLAIN:
        return Reply(body=answer.destination.encode())
    if form is ReplyForm.JSON:
        return Reply(body=orjson.dumps({settings.reply_key: answer.destination}), content_type=_JSON)
    as_field = settings.rpc_result is RpcResult.FIELD and settings.reply_key
    result: Any = {settings.reply_key: answer.destination} if as_field else answer.destination
    # an answer needs an id even where the question came in another form; null would mark an error
    reply_to = 1 if question.reply_to is None else question.reply_to
    return Reply(body=orjson.dumps({"jsonrpc": "2.0", "id": reply_to, "result": result}), content_type=_JSON)


def _read_usual(body: bytes, channel: ChannelConfig, settings: RingostatSettings) -> ForwardingQuestion | None:
    """The question as the vendor sends it, a flat object of texts in which nothing is to be taken out; else None.

    The vendor sends the same names each time: which of them counts is looked for once for each set of names.
    """
    if b"\\" in body:
        return None
    try:
        found = orjson.loads(body)
        values = list(found.values())
        # one look at all: each is a text, and none is empty or has a space in it
        if "\n".join(values).split() != values:
            return None
    except (ValueError, AttributeError, TypeError):
        return None
    names, shapes = tuple(found), settings.question_shapes
    shape = shapes.get(names)
    if shape is None:
        if len(shapes) >= _MOST_SHAPES:
            shapes.clear()
        shape = shapes[names] = QuestionShape.of(names, settings.question_names)
    if not shape.callers:
        return None
    if b"%" in body:
        for name, value in found.items():
            if "%" in value:
                found[name] = _unquoted(value) if len(value) <= _SHORT else unquote(value)
    return ForwardingQuestion(
        caller=_phone(found, shape.callers, channel),
        uuid=found[shape.own] if shape.own else "",
        call_id=found[shape.call] if shape.call else "",
        line=_phone(found, shape.lines, channel, _parse_line),
        parameters=found,
    )


def _read_body(request: RawRequest, found: dict[str, str]) -> str | int | None:
    """Put the body's parameters into ``found``; the id of a JSON-RPC message, None if it is none."""
    body = request.body
    if not body:
        return None
    try:
        message = orjson.loads(body)
    except ValueError:
        if body.lstrip()[:1] in (b"{", b"["):
            # a JSON body in another encoding: what is ASCII in it still counts
            try:
                message = orjson.loads(body.decode("utf-8-sig", "replace"))
            except ValueError:
                return None
        else:
            _read_pairs(body, found)
            return None
    if isinstance(message, list) and message:
        message = message[0]
    if not isinstance(message, dict):
        # digits alone are JSON too: a form without a name has nothing to tell
        return None
    params = message.get("params")
    if isinstance(params, list):
        params = next((one for one in params if isinstance(one, dict)), None)
    if isinstance(params, dict):
        _read_object(params, found)
    _read_object(message, found)
    found.pop("params", None)
    reply_to = message.get("id") if "jsonrpc" in message or "method" in message else None
    return reply_to if isinstance(reply_to, str | int) and not isinstance(reply_to, bool) else None


def _read_object(values: Mapping[str, Any], found: dict[str, str]) -> None:
    for key, value in values.items():
        key = key.lower()
        if not found.get(key):
            found[key] = _text(value)


def _text(value: Any) -> str:
    # almost all are strings without anything to take out
    text = value.strip() if type(value) is str and "\0" not in value else text_of(value)
    if "%" not in text:
        return text
    # a location and a line come with every call; a long text is rarely the same twice
    return _unquoted(text) if len(text) <= _SHORT else unquote(text)


@lru_cache(maxsize=2048)
def _unquoted(text: str) -> str:
    return unquote(text)


def _read_pairs(data: bytes, found: dict[str, str]) -> None:
    try:
        pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return
    for key, value in pairs:
        key = key.lower()
        if not found.get(key):
            found[key] = _text(value)


def _read_headers(request: RawRequest, found: dict[str, str], settings: RingostatSettings) -> None:
    names = _header_names(settings.question_names)
    for header, value in request.headers:
        name = names.get(header.casefold().replace("-", "_"))
        if name and not found.get(name):
            found[name] = unquote(value.strip())


@lru_cache(maxsize=64)
def _header_names(groups: tuple[tuple[str, ...], ...]) -> Mapping[str, str]:
    return {name.replace("-", "_"): name for group in groups for name in group}


def _first(found: Mapping[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if value := found.get(name):
            return value
    return ""


#: remembered, since a company has few lines
_parse_line = lru_cache(maxsize=1024)(parse_phone)


def _phone(
    found: Mapping[str, str],
    names: tuple[str, ...],
    channel: ChannelConfig,
    parse: Callable[..., Phone | None] = parse_phone,
) -> Phone | None:
    for name in names:
        if not (value := found.get(name)):
            continue
        if value.isdecimal():
            phone = parse(value, channel.region, eight_is_seven=channel.eight_is_seven)
        else:
            phone = parse_party(value, channel).phone
        if phone:
            return phone
    return None
