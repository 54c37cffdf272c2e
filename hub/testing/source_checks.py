"""What the hub expects of every `hub.ports.Source` (X4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hub.core.interaction import Call, Chat, Form, InteractionId, Message, ProjectId
from hub.core.merge import CallFragment, fold
from hub.errors import AccessError, NeedsCredentials, PayloadError, VendorError
from hub.ports import (
    AnswersForwarding,
    ChannelConfig,
    ForwardingAnswer,
    ForwardingQuestion,
    Ignored,
    ListsEmployees,
    ListsInteractions,
    Parsed,
    RawRequest,
    Reply,
    SetupHint,
    Source,
)
from hub.testing.check import Checks, NotConforming, Several, expect, fail
from hub.testing.garbage import garbage
from hub.testing.outfit import SourceOutfit, SourceStage
from hub.testing.outside import untouched

__all__ = ["CHECKS", "SourceBench", "folded"]

_KINDS = (CallFragment, Form, Chat, Message, Ignored)
_SUFFIXES = (".json", ".form", ".query")


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
        return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)

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
            fail(f"{what}: parse raised {_told(err)}", err)


def _told(err: BaseException) -> str:
    return f"{type(err).__name__}: {err}".splitlines()[0][:300]


CHECKS: Checks[SourceBench] = Checks()


# --- what it declares -------------------------------------------------------------------------------------------


@CHECKS.add()
async def the_source_has_what_the_protocol_asks_for(bench: SourceBench) -> None:
    """`hub.ports.Source`: name, settings model, events, verify, parse, setup_hints."""
    source = bench.source
    expect(isinstance(source, Source), f"{type(source).__name__} lacks a member of hub.ports.Source")
    expect(source.name.isidentifier(), f"the name {source.name!r} is not a plain word")
    expect(bool(source.events), "it declares no event")
    twice = sorted({event for event in source.events if list(source.events).count(event) > 1})
    expect(not twice, f"events declared twice: {', '.join(twice)}")


@CHECKS.add()
async def every_setting_is_explained(bench: SourceBench) -> None:
    """The set-up page shows title and description (H12)."""
    settings_are_explained(bench.source.settings_model)


def settings_are_explained(model: type[BaseModel]) -> None:
    """Report settings that the set-up page could not explain."""
    silent = [name for name, one in model.model_fields.items() if not (one.title and one.description)]
    expect(not silent, f"settings without title or description: {', '.join(silent)}")


@CHECKS.add()
async def every_declared_event_has_a_payload_file(bench: SourceBench) -> None:
    """At least one body as the vendor sends it, as EVENT__VARIANT.json, .form or .query; and no file without event."""
    events = set(bench.source.events)
    found = {path.name.partition("__")[0] for path in bench.files}
    missing, strange = sorted(events - found), sorted(found - events)
    expect(not missing, f"no payload file for the event {', '.join(missing)} in {bench.outfit.payloads}")
    expect(not strange, f"payload files of events that are not declared: {', '.join(strange)}")
    odd = sorted(path.name for path in bench.outfit.payloads.iterdir() if path.suffix not in _SUFFIXES)
    expect(not odd, f"payload files end in .json, .form or .query, not: {', '.join(odd)}")


# --- reading ----------------------------------------------------------------------------------------------------


@CHECKS.add()
async def every_payload_is_understood(bench: SourceBench) -> None:
    """Each payload file tells something, or is ignored on purpose with a reason."""
    several = Several()
    for name, request in bench.readable.items():
        with several.case(name):
            parsed = bench.parse(request, "a payload that the vendor sends")
            expect(bool(parsed), "parse returned nothing: what is not needed is Ignored(reason=...)")
            for one in parsed:
                is_sound(one)
    several.report()


def is_sound(one: Parsed) -> None:
    """Report what is wrong with one parsed thing, whatever it tells."""
    expect(isinstance(one, _KINDS), f"parse returned {type(one).__name__}, which is none of hub.ports.Parsed")
    if isinstance(one, Ignored):
        expect(bool(one.reason.strip()), "Ignored without a reason")
        return
    expect(bool(one.external_id), f"{type(one).__name__} without the vendor's id (external_id)")
    for name in ("started_at", "ended_at", "happened_at"):
        moment = getattr(one, name, None)
        expect(moment is None or isinstance(moment, datetime), f"{name} is no datetime but {moment!r}")
        expect(moment is None or moment.tzinfo is not None, f"{name} has no time zone: {moment}")
    for phone in one.client.phones:
        expect(phone.startswith("+") and phone[1:].isdigit(), f"the client's number is not E.164: {phone!r}")
    for name in ("waiting_seconds", "duration_seconds", "talk_seconds"):
        seconds = getattr(one, name, None)
        expect(seconds is None or seconds >= 0, f"{name} is negative: {seconds}")
    texts = {key: value for key, value in one.parameters.items() if not isinstance(value, str)}
    expect(not texts, f"parameters are texts, not {texts}")


@CHECKS.add()
async def a_payload_that_must_be_refused_names_its_field(bench: SourceBench) -> None:
    """H11: kept and shown with the field at fault."""
    several = Several()
    for name, field in bench.outfit.refused.items():
        with several.case(name):
            expect(name in bench.requests, "there is no such payload file")
            try:
                parsed = bench.source.parse(bench.requests[name], bench.channel)
            except PayloadError as err:
                expect(err.field == field, f"the error names the field {err.field!r}, not {field!r}")
            else:
                fail(f"was read as {parsed!r}")
    several.report()


@CHECKS.add()
async def any_bytes_are_read_or_refused_with_the_field_named(bench: SourceBench) -> None:
    """H11: parsing is total. Random bytes, wrong types, missing and doubled fields raise PayloadError or nothing."""

    def judge(request: RawRequest) -> None:
        try:
            parsed = bench.source.parse(request, bench.channel)
        except PayloadError as err:
            expect(bool(err.field), f"a PayloadError that names no field: {err}")
            expect(bool(str(err).strip()), "a PayloadError without a sentence")
            return
        except Exception as err:  # noqa: BLE001 - that nothing else is raised is what is tested
            fail(f"parse raised {_told(err)} instead of PayloadError", err)
        for one in parsed:
            is_sound(one)

    garbage(list(bench.readable.values()), judge)


@CHECKS.add()
async def a_request_without_anything_in_it_is_harmless(bench: SourceBench) -> None:
    """Vendors and scanners probe addresses with empty requests."""
    base = next(iter(bench.readable.values()))
    for method in ("GET", "POST", "HEAD"):
        request = RawRequest(method=method, received_at=base.received_at)
        try:
            bench.source.parse(request, bench.channel)
        except PayloadError as err:
            expect(bool(err.field), f"an empty {method} is refused without a field: {err}")
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"an empty {method} made parse raise {_told(err)}", err)


@CHECKS.add()
async def parsing_writes_nothing_and_asks_nobody(bench: SourceBench) -> None:
    """H2, H3: parse, verify and setup_hints are computation; what they learn they return."""
    for name, request in bench.readable.items():
        with untouched(f"parse of {name}"):
            bench.parse(request, name)
    with untouched("setup_hints"):
        bench.source.setup_hints(bench.channel, "https://hub.example/hooks/x", "https://hub.example/forward/x")


# --- merging ----------------------------------------------------------------------------------------------------


def folded(fragments: Sequence[CallFragment], received_at: datetime) -> Call:
    """The call that the hub makes of ``fragments``."""
    return fold(
        fragments,
        id=InteractionId("i"),
        project=ProjectId("conformance"),
        channel="channel",
        source="source",
        received_at=received_at,
    )


def _facts(call: Call) -> dict[str, Any]:
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


def _same(one: Mapping[str, Any], other: Mapping[str, Any], when: str) -> None:
    for name, value in one.items():
        if other[name] != value:
            fail(f"call {one['external_id']}: {when} its {name} is {other[name]!r}, before it was {value!r}")


def _calls(
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


def merges(bench: SourceBench, requests: Sequence[RawRequest], channel: ChannelConfig | None = None) -> None:
    """Report a call that depends on the order or number of its deliveries."""
    if not requests:
        return
    at = requests[0].received_at
    before = {key: _facts(folded(known, at)) for key, known in _calls(bench, requests, channel).items()}
    for when, order in _orders(requests):
        after = _calls(bench, order, channel)
        expect(set(after) == set(before), f"{when}, other calls were told: {sorted(set(after) ^ set(before))}")
        for key, known in after.items():
            _same(before[key], _facts(folded(known, at)), when)


@CHECKS.add()
async def repeated_and_reordered_deliveries_make_the_same_call(bench: SourceBench) -> None:
    """A9, X8: parse keeps no memory, and what it tells of a call does not depend on what came before."""
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


# --- the door and the set-up ------------------------------------------------------------------------------------


@CHECKS.add()
async def good_requests_pass_the_door_and_forged_ones_do_not(bench: SourceBench) -> None:
    """H8: `verify` lets the payload files in; what the outfit forges raises AccessError; nothing else is raised."""
    for name, request in bench.readable.items():
        try:
            bench.source.verify(request, bench.channel)
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{name}: verify raised {_told(err)}", err)
        if bench.outfit.forged is None:
            continue
        try:
            bench.source.verify(bench.outfit.forged(request), bench.channel)
        except AccessError:
            continue
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{name}, forged: verify raised {_told(err)} instead of AccessError", err)
        fail(f"{name}, forged: verify let it in")


@CHECKS.add()
async def the_door_does_not_break_on_garbage(bench: SourceBench) -> None:
    """`verify` raises AccessError or nothing, whatever comes."""

    def judge(request: RawRequest) -> None:
        try:
            bench.source.verify(request, bench.channel)
        except AccessError:
            return
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"verify raised {_told(err)} instead of AccessError", err)

    garbage(list(bench.readable.values()), judge, examples=60)


@CHECKS.add()
async def the_administrator_is_told_what_to_enter(bench: SourceBench) -> None:
    """H12: the hints contain the ready webhook address, and the forwarding address where the vendor asks."""
    hook, forward = "https://hub.example/hooks/p/c/s3cret", "https://hub.example/forward/p/c/s3cret"
    hints = bench.source.setup_hints(bench.channel, hook, forward)
    expect(bool(hints), "there are no hints")
    for hint in hints:
        expect(isinstance(hint, SetupHint) and bool(hint.where.strip()), f"a hint that does not say where: {hint!r}")
    text = "\n".join(f"{hint.value}\n{hint.note}" for hint in hints)
    expect(hook in text, "no hint contains the webhook address")
    if isinstance(bench.source, AnswersForwarding):
        expect(forward in text, "no hint contains the forwarding address")


# --- forwarding -------------------------------------------------------------------------------------------------


def _answers(source: object) -> bool:
    return isinstance(source, AnswersForwarding)


def _reply(bench: SourceBench, request: RawRequest, destination: str) -> tuple[ForwardingQuestion, Reply]:
    source = bench.source
    assert isinstance(source, AnswersForwarding)
    try:
        question = source.forwarding_question(request, bench.channel)
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"forwarding_question raised {_told(err)}: it must be total", err)
    expect(isinstance(question, ForwardingQuestion), f"forwarding_question returned {type(question).__name__}")
    try:
        reply = source.forwarding_reply(question, ForwardingAnswer(destination=destination), bench.channel)
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"forwarding_reply raised {_told(err)}", err)
    expect(reply.status == 200, f"forwarding_reply has the status {reply.status}, not 200")
    return question, reply


@CHECKS.add(_answers)
async def any_question_is_answered_with_status_200(bench: SourceBench) -> None:
    """R2, DESIGN 5: never an error status; garbage is a question without a caller."""

    def judge(request: RawRequest) -> None:
        for destination in ("", "examplecom_olena"):
            _reply(bench, request, destination)

    known = [*bench.outfit.questions.values(), *bench.readable.values()]
    garbage(known, judge, examples=150)


@CHECKS.add(_answers)
async def the_destination_is_told_and_nobody_is_told_as_nothing(bench: SourceBench) -> None:
    """R2: the employee's number or login stands in the answer; the empty answer has nothing that could be dialled."""
    expect(bool(bench.outfit.questions), "the outfit has no questions to try forwarding with")
    several = Several()
    for name, request in bench.outfit.questions.items():
        with several.case(name):
            question, reply = _reply(bench, request, "examplecom_olena")
            expect(question.caller is not None, "the caller was not read")
            expect(b"examplecom_olena" in reply.body, f"the answer does not name the destination: {reply.body!r}")
            _, nobody = _reply(bench, request, "")
            expect(b"examplecom_olena" not in nobody.body, "an earlier destination was remembered")
            expect(_reply(bench, request, "")[1] == nobody, "the same question got two answers")
    several.report()


# --- the vendor's own log ---------------------------------------------------------------------------------------


def _lists(source: object) -> bool:
    return isinstance(source, ListsInteractions)


async def _in_sandbox(bench: SourceBench, ability: str, work: Callable[[SourceStage], Any]) -> None:
    if bench.outfit.open is None:
        fail(f"it has {ability}, and the outfit has no sandbox to try it with (open)")
    async with bench.outfit.open() as stage:
        try:
            await work(stage)
        except (NotConforming, AssertionError):
            raise
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{ability} raised {_told(err)}", err)


@CHECKS.add(_lists)
async def the_log_agrees_with_the_webhooks(bench: SourceBench) -> None:
    """X7: each finished call of the webhooks stands in the log, with the same client, direction and end."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, ListsInteractions)
        rows: dict[str, list[CallFragment]] = {}
        async for one in bench.source.list_interactions(stage.channel, stage.http, stage.since, stage.until):
            is_sound(one)
            if isinstance(one, CallFragment):
                expect(one.is_recovered, f"row {one.external_id} is not marked as recovered")
                rows.setdefault(one.external_id, []).append(one)
        at = stage.until
        told = {key: folded(known, at) for key, known in _calls(bench, stage.deliveries, stage.channel).items()}
        finished = {key: call for key, call in told.items() if call.is_final}
        expect(bool(finished), "the outfit's deliveries tell of no finished call")
        expect(set(rows) == set(finished), f"told by one way only: {sorted(set(rows) ^ set(finished))[:5]}")
        for key, call in finished.items():
            row = folded(rows[key], at)
            for name in ("disposition", "direction", "is_final"):
                seen, wanted = getattr(row, name), getattr(call, name)
                expect(seen == wanted, f"call {key}: {name} is {seen} in the log and {wanted} by webhook")
            both = folded([*_calls(bench, stage.deliveries, stage.channel)[key], *rows[key]], at)
            names = ("legs", "disposition", "direction")
            _same({name: _facts(call)[name] for name in (*names, "external_id")}, _facts(both), "with its log row")

    await _in_sandbox(bench, "list_interactions", work)


@CHECKS.add(_lists)
async def deliveries_of_a_whole_day_merge_in_any_order(bench: SourceBench) -> None:
    """A9, X8: the sandbox's own traffic, shuffled and repeated."""

    async def work(stage: SourceStage) -> None:
        merges(bench, list(stage.deliveries), stage.channel)

    await _in_sandbox(bench, "list_interactions", work)


@CHECKS.add(lambda source: isinstance(source, ListsEmployees))
async def the_employees_are_told(bench: SourceBench) -> None:
    """H12: everybody whom the vendor knows, once."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, ListsEmployees)
        found = [one.staff_id for one in await bench.source.list_employees(stage.channel, stage.http)]
        expect(len(set(found)) == len(found), f"an employee is told twice: {found}")
        expect(set(found) == stage.staff_ids, f"told {sorted(found)}, the vendor knows {sorted(stage.staff_ids)}")

    await _in_sandbox(bench, "list_employees", work)


@CHECKS.add(lambda source: isinstance(source, ListsEmployees | ListsInteractions))
async def a_refused_key_needs_credentials(bench: SourceBench) -> None:
    """The vendor's "no" is NeedsCredentials, so that the console can say what to do; the right key then works."""

    async def ask(channel: ChannelConfig, stage: SourceStage) -> None:
        if isinstance(bench.source, ListsEmployees):
            await bench.source.list_employees(channel, stage.http)
        elif isinstance(bench.source, ListsInteractions):
            async for _ in bench.source.list_interactions(channel, stage.http, stage.since, stage.until):
                pass

    async def work(stage: SourceStage) -> None:
        if stage.refused is None:
            return
        try:
            await ask(stage.refused, stage)
        except NeedsCredentials:
            pass
        except VendorError as err:
            fail(f"a refused key raised {_told(err)} instead of NeedsCredentials", err)
        else:
            fail("a key that the vendor refuses went unnoticed")
        await ask(stage.channel, stage)

    await _in_sandbox(bench, "asking the vendor", work)
