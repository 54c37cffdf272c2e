"""Repeated, late and disordered deliveries: the hub must be able to make one interaction of them (A9, X8)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from hub.core.chat import ChatFragment, fold_chat
from hub.core.interaction import Call, Chat, Form, InteractionId, Message, ProjectId
from hub.core.merge import CallFragment, fold
from hub.ports import ChannelConfig, RawRequest
from hub.testing.check import Checks, Several, expect, fail
from hub.testing.source_bench import SourceBench

__all__ = ["CHECKS", "calls_of", "facts_of", "folded", "is_same", "merges"]

CHECKS: Checks[SourceBench] = Checks()


class _Whose(TypedDict):
    id: InteractionId
    project: ProjectId
    channel: str
    source: str


_WHOSE = _Whose(id=InteractionId("i"), project=ProjectId("conformance"), channel="channel", source="source")


def folded(fragments: Sequence[CallFragment], received_at: datetime) -> Call:
    """The call that the hub makes of ``fragments``."""
    return fold(fragments, **_WHOSE, received_at=received_at)


def facts_of(call: Call) -> dict[str, Any]:
    """What must not depend on order and repetition."""
    return {
        "external_id": call.external_id,
        "direction": call.direction,
        "disposition": call.disposition,
        "client": call.client,
        "line": call.line,
        "legs": [(leg.destination, leg.is_answered, leg.talk_seconds, leg.recording) for leg in call.legs],
        "talk_seconds": call.talk_seconds,
        "recording": call.recording,
        "attribution": call.attribution,
        "is_final": call.is_final,
        "is_transferred": call.is_transferred,
        "summary": call.summary,
        "rating": call.rating,
    }


def is_same(one: Mapping[str, Any], other: Mapping[str, Any], when: str) -> None:
    for name, value in one.items():
        if other[name] != value:
            fail(f"interaction {one['external_id']}: {when} its {name} is {other[name]!r}, before it was {value!r}")


def calls_of(
    bench: SourceBench, requests: Iterable[RawRequest], channel: ChannelConfig | None = None
) -> dict[str, list[CallFragment]]:
    """The fragments by call, as a hub that got ``requests`` in this order would have them."""
    known: dict[str, list[CallFragment]] = {}
    for request in requests:
        for one in bench.parse(request, "a delivery", channel):
            if isinstance(one, CallFragment):
                known.setdefault(one.external_id, []).append(one)
    return known


def _orders(requests: Sequence[RawRequest]) -> Iterable[tuple[str, list[RawRequest]]]:
    """The same deliveries in other orders and with repetitions; arrival times are the hub's, so they follow."""
    chance = random.Random(7)
    yield "arrived backwards", list(reversed(requests))
    for _ in range(4):
        mixed = list(requests)
        chance.shuffle(mixed)
        yield "arrived in another order", mixed
    yield "told twice", [one for request in requests for one in (request, request)]
    yield (
        "told again later",
        [
            *requests,
            *(replace(one, received_at=one.received_at + timedelta(minutes=2)) for one in requests),
        ],
    )


def _facts_of_all(
    bench: SourceBench, requests: Sequence[RawRequest], channel: ChannelConfig | None, at: datetime
) -> dict[str, dict[str, Any]]:
    """What a hub that got ``requests`` in this order knows of each call and chat."""
    found = {key: facts_of(folded(known, at)) for key, known in calls_of(bench, requests, channel).items()}
    chats: dict[str, list[ChatFragment]] = {}
    for request in requests:
        for one in bench.parse(request, "a delivery", channel):
            if isinstance(one, ChatFragment):
                chats.setdefault(one.external_id, []).append(one)
    for key, known in chats.items():
        chat = fold_chat(known, **_WHOSE, received_at=at)
        found[f"chat {key}"] = {
            "external_id": key,
            "client": chat.client,
            "messages": chat.messages,
            "legs": [leg.destination for leg in chat.legs],
            "page": chat.page,
            "department": chat.department,
            "is_final": chat.is_final,
        }
    return found


def merges(bench: SourceBench, requests: Sequence[RawRequest], channel: ChannelConfig | None = None) -> None:
    """Report a call or chat that depends on the order or number of its deliveries."""
    if not requests:
        return
    at = requests[0].received_at
    before = _facts_of_all(bench, requests, channel, at)
    for when, order in _orders(requests):
        after = _facts_of_all(bench, order, channel, at)
        expect(set(after) == set(before), f"{when}, others were told: {sorted(set(after) ^ set(before))}")
        for key, known in after.items():
            is_same(before[key], known, when)


@CHECKS.add()
async def repeated_and_reordered_deliveries_make_the_same_interaction(bench: SourceBench) -> None:
    """A9, X8: parse keeps no memory, and what it tells of a call or chat does not depend on what came before."""
    merges(bench, list(bench.readable.values()))


@CHECKS.add()
async def what_is_sent_twice_has_one_id(bench: SourceBench) -> None:
    """X5: a form, chat or message that is delivered again is the same one, by its external_id."""
    several = Several()
    for name, request in bench.readable.items():
        with several.case(name):
            first, again = bench.parse(request, "parse"), bench.parse(request, "parse, the second time")
            expect(first == again, f"the same request was read as {first!r} and then as {again!r}")
            ids = [one.external_id for one in first if isinstance(one, Form | Message)]
            expect(len(set(ids)) == len(ids), "two of its interactions share one external_id")
            later = bench.parse(replace(request, received_at=request.received_at + timedelta(seconds=30)), "parse")
            for one, other in zip(first, later, strict=False):
                if isinstance(one, Chat | Message) and isinstance(other, Chat | Message):
                    same = one.external_id == other.external_id
                    expect(same, f"sent again after 30 s it is {other.external_id!r}, not {one.external_id!r}")
    several.report()
