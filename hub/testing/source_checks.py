"""What the hub expects of every `hub.ports.Source` (X4)."""

from __future__ import annotations

from pydantic import BaseModel

from hub.errors import AccessError, PayloadError
from hub.ports import AnswersForwarding, ForwardingAnswer, ForwardingQuestion, RawRequest, Reply, SetupHint, Source
from hub.testing.check import Checks, Several, expect, fail, told
from hub.testing.garbage import garbage
from hub.testing.outside import untouched
from hub.testing.source_bench import SUFFIXES, SourceBench, is_sound

__all__ = ["CHECKS", "settings_are_explained"]

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
    odd = sorted(path.name for path in bench.outfit.payloads.iterdir() if path.suffix not in SUFFIXES)
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
            fail(f"parse raised {told(err)} instead of PayloadError", err)
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
            fail(f"an empty {method} made parse raise {told(err)}", err)


@CHECKS.add()
async def parsing_writes_nothing_and_asks_nobody(bench: SourceBench) -> None:
    """H2, H3: parse, verify and setup_hints are computation; what they learn they return."""
    for name, request in bench.readable.items():
        with untouched(f"parse of {name}"):
            bench.parse(request, name)
    with untouched("setup_hints"):
        bench.source.setup_hints(bench.channel, "https://hub.example/hooks/x", "https://hub.example/forward/x")


# --- the door and the set-up ------------------------------------------------------------------------------------


@CHECKS.add()
async def good_requests_pass_the_door_and_forged_ones_do_not(bench: SourceBench) -> None:
    """H8: `verify` lets the payload files in; what the outfit forges raises AccessError; nothing else is raised."""
    for name, request in bench.readable.items():
        try:
            bench.source.verify(request, bench.channel)
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{name}: verify raised {told(err)}", err)
        if bench.outfit.forged is None:
            continue
        try:
            bench.source.verify(bench.outfit.forged(request), bench.channel)
        except AccessError:
            continue
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{name}, forged: verify raised {told(err)} instead of AccessError", err)
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
            fail(f"verify raised {told(err)} instead of AccessError", err)

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
        fail(f"forwarding_question raised {told(err)}: it must be total", err)
    expect(isinstance(question, ForwardingQuestion), f"forwarding_question returned {type(question).__name__}")
    try:
        reply = source.forwarding_reply(question, ForwardingAnswer(destination=destination), bench.channel)
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"forwarding_reply raised {told(err)}", err)
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
