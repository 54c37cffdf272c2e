"""The kit finds what is wrong with a source, and says it: one defect a row, put into a sound plugin (X4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from hub.core.interaction import Identity
from hub.core.merge import CallFragment
from hub.errors import AccessError, PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest, SetupHint

Load = Callable[[str], ModuleType]
Told = Callable[..., str]
COUNT = itertools.count()


def fragment(parsed: Sequence[Parsed]) -> CallFragment:
    [one] = parsed
    assert isinstance(one, CallFragment)
    return one


class Bare(BaseModel):
    """Settings that nobody explained."""

    secret: str = ""


# --- defects: each changes one method of the sound source -------------------------------------------------------

Defect = Callable[[Any, Any], dict[str, Any]]


def raises_key_error(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        import json

        return [Ignored(reason=json.loads(request.body)["event"])]

    return {"parse": parse}


def names_no_field(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        try:
            return list(sound.parse(request, channel))
        except PayloadError as err:
            raise PayloadError("something is wrong", source="kea") from err

    return {"parse": parse}


def forgets_a_payload(sound: Any, _: Any) -> dict[str, Any]:
    return {"events": ("ringing", "ended", "rated")}


def keeps_a_memory(sound: Any, _: Any) -> dict[str, Any]:
    """Believes that a call which ended cannot ring any more: late deliveries lose a leg."""
    ended: set[str] = set()

    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        one = fragment(sound.parse(request, channel))
        if one.external_id in ended:
            return [Ignored(reason="the call is over")]
        if one.moment == "ended":
            ended.add(one.external_id)
        return [one]

    return {"parse": parse}


def makes_up_ids(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        return [replace(fragment(sound.parse(request, channel)), external_id=f"c{next(COUNT)}")]

    return {"parse": parse}


def dates_by_arrival(sound: Any, _: Any) -> dict[str, Any]:
    """A call that is told again later has another leg: the talk time grows with the delay."""

    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        one = fragment(sound.parse(request, channel))
        return [replace(one, talk_seconds=request.received_at.minute) if one.talk_seconds else one]

    return {"parse": parse}


def writes_a_file(sound: Any, folder: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        (folder / "seen").write_text("x")
        return list(sound.parse(request, channel))

    return {"parse": parse}


def naive_time(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        one = fragment(sound.parse(request, channel))
        return [replace(one, started_at=one.started_at.replace(tzinfo=None))] if one.started_at else [one]

    return {"parse": parse}


def number_as_typed(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        one = fragment(sound.parse(request, channel))
        return [replace(one, client=Identity(phones=("050 111 22 33",)))]  # type: ignore[arg-type]  # the defect

    return {"parse": parse}


def says_nothing(sound: Any, _: Any) -> dict[str, Any]:
    return {"parse": lambda self, request, channel: []}


def ignores_without_reason(sound: Any, _: Any) -> dict[str, Any]:
    return {"parse": lambda self, request, channel: [Ignored(reason="")]}


def lets_everybody_in(sound: Any, _: Any) -> dict[str, Any]:
    return {"verify": lambda self, request, channel: None}


def lets_nobody_in(sound: Any, _: Any) -> dict[str, Any]:
    def verify(self: Any, request: RawRequest, channel: ChannelConfig) -> None:
        raise AccessError("no")

    return {"verify": verify}


def breaks_at_the_door(sound: Any, _: Any) -> dict[str, Any]:
    def verify(self: Any, request: RawRequest, channel: ChannelConfig) -> None:
        if dict(request.headers)["content-type"]:
            sound.verify(request, channel)

    return {"verify": verify}


def hides_the_address(sound: Any, _: Any) -> dict[str, Any]:
    return {"setup_hints": lambda self, channel, hook, forward: [SetupHint(where="somewhere")]}


def explains_no_setting(sound: Any, _: Any) -> dict[str, Any]:
    return {"settings_model": Bare}


def reads_what_it_should_refuse(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        try:
            return list(sound.parse(request, channel))
        except PayloadError:
            return [Ignored(reason="could not be read")]

    return {"parse": parse}


def breaks_on_nothing(sound: Any, _: Any) -> dict[str, Any]:
    def parse(self: Any, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        return [] if request.body[0] == 0 else list(sound.parse(request, channel))

    return {"parse": parse}


DEFECTS: list[tuple[Defect, str, str]] = [
    # the defect, the expectation that finds it, what it says
    (raises_key_error, "any_bytes_are_read_or_refused_with_the_field_named", "instead of PayloadError"),
    (names_no_field, "any_bytes_are_read_or_refused_with_the_field_named", "names no field"),
    (forgets_a_payload, "every_declared_event_has_a_payload_file", "no payload file for the event rated"),
    (keeps_a_memory, "repeated_and_reordered_deliveries_make_the_same_interaction", "arrived backwards"),
    (makes_up_ids, "what_is_sent_twice_has_one_id", "was read as"),
    (dates_by_arrival, "repeated_and_reordered_deliveries_make_the_same_interaction", "told again later its legs"),
    (writes_a_file, "parsing_writes_nothing_and_asks_nobody", "is not mere computation: open"),
    (naive_time, "every_payload_is_understood", "started_at has no time zone"),
    (number_as_typed, "every_payload_is_understood", "not E.164"),
    (says_nothing, "every_payload_is_understood", "parse returned nothing"),
    (ignores_without_reason, "every_payload_is_understood", "Ignored without a reason"),
    (lets_everybody_in, "good_requests_pass_the_door_and_forged_ones_do_not", "forged: verify let it in"),
    (lets_nobody_in, "good_requests_pass_the_door_and_forged_ones_do_not", "verify raised AccessError"),
    (breaks_at_the_door, "the_door_does_not_break_on_garbage", "instead of AccessError"),
    (hides_the_address, "the_administrator_is_told_what_to_enter", "no hint contains the webhook address"),
    (explains_no_setting, "every_setting_is_explained", "without title or description: secret"),
    (reads_what_it_should_refuse, "a_payload_that_must_be_refused_names_its_field", "was read as"),
    (breaks_on_nothing, "a_request_without_anything_in_it_is_harmless", "made parse raise IndexError"),
]


@pytest.mark.parametrize(("defect", "expectation", "says"), DEFECTS, ids=[row[0].__name__ for row in DEFECTS])
def test_a_defect_is_found_by_the_expectation_that_names_it(
    defect: Defect, expectation: str, says: str, scaffolded: Load, told: Told, tmp_path: Path
) -> None:
    outfit = scaffolded("hub_kea.conformance").OUTFIT
    broken = type("Broken", (type(outfit.source),), defect(outfit.source, tmp_path))()
    assert says in told(replace(outfit, source=broken), expectation)


def test_a_missing_method_is_named(scaffolded: Load, told: Told) -> None:
    class Half:
        name = "half"
        settings_model = scaffolded("hub_kea.config").KeaSettings
        events = ("ended",)

    outfit = replace(scaffolded("hub_kea.conformance").OUTFIT, source=Half())
    assert "Half lacks a member" in told(outfit, "the_source_has_what_the_protocol_asks_for")


def test_settings_that_do_not_fit_are_named(scaffolded: Load, told: Told) -> None:
    outfit = replace(scaffolded("hub_kea.conformance").OUTFIT, settings={"colour": "green"})
    assert "the outfit's settings do not fit KeaSettings" in told(outfit, "every_payload_is_understood")


def test_a_folder_without_payload_files_is_named(scaffolded: Load, told: Told, tmp_path: Path) -> None:
    outfit = replace(scaffolded("hub_kea.conformance").OUTFIT, payloads=tmp_path / "nowhere")
    assert "there is no folder of payload files at" in told(outfit, "every_payload_is_understood")


def test_a_payload_of_no_declared_event_is_named(scaffolded: Load, told: Told, tmp_path: Path) -> None:
    outfit = scaffolded("hub_kea.conformance").OUTFIT
    for path in outfit.payloads.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "rated__five.json").write_text("{}")
    problem = told(replace(outfit, payloads=tmp_path), "every_declared_event_has_a_payload_file")
    assert "events that are not declared: rated" in problem
