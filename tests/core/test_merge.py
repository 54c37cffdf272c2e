"""Several tellings of one call are one call, whatever their order and number (A9, C6, X8)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.interaction import (
    Attribution,
    Call,
    Destination,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    ProjectId,
)
from hub.core.merge import CallFragment, Moment, fold
from hub.core.phone import Phone

BEGIN = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
CLIENT = Identity(phones=(Phone("+380501112233"),))
OLENA = Destination(login="examplecom_olena", staff_id="1107", name="Olena Koval")
IVAN = Destination(login="examplecom_ivan", staff_id="1108")
PETRO = Destination(phone=Phone("+380671110000"))


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def folded(*fragments: CallFragment) -> Call:
    return fold(
        fragments,
        id=InteractionId("i1"),
        project=ProjectId("p"),
        channel="phone",
        source="ringostat",
        received_at=at(1000),
    )


def ended(
    disposition: Disposition | None = Disposition.ANSWERED,
    by: Destination | None = None,
    talk: int | None = None,
    **more: object,
) -> CallFragment:
    told = {"started_at": BEGIN, "direction": Direction.INBOUND, "client": CLIENT, **more}
    if talk is None and disposition is Disposition.ANSWERED:
        talk = 30
    return CallFragment(
        external_id="c1",
        moment=Moment.ENDED,
        disposition=disposition,
        destination=by,
        talk_seconds=talk,
        **told,  # type: ignore[arg-type]  # the keywords of a test row
    )


def told(moment: Moment, whom: Destination | None = None, seconds: float = 0, **more: object) -> CallFragment:
    return CallFragment(
        external_id="c1",
        moment=moment,
        started_at=BEGIN,
        happened_at=at(seconds),
        destination=whom,
        direction=Direction.INBOUND,
        client=CLIENT,
        **more,  # type: ignore[arg-type]
    )


def outline(call: Call) -> list[tuple[str, bool, int]]:
    return [
        (leg.destination.login or leg.destination.phone or "", leg.is_answered, leg.talk_seconds) for leg in call.legs
    ]


# --- how it ended -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dispositions", "disposition", "is_final"),
    [
        ([Disposition.ANSWERED], Disposition.ANSWERED, True),
        ([Disposition.MISSED], Disposition.MISSED, True),
        ([Disposition.MISSED, Disposition.ANSWERED], Disposition.ANSWERED, True),
        ([Disposition.BUSY, Disposition.MISSED, Disposition.FAILED], Disposition.BUSY, True),
        ([Disposition.VOICEMAIL, Disposition.BUSY], Disposition.VOICEMAIL, True),
        ([Disposition.CLIENT_MISSED, Disposition.MISSED], Disposition.CLIENT_MISSED, True),
        ([Disposition.PENDING], Disposition.PENDING, False),
        ([Disposition.PENDING, Disposition.MISSED], Disposition.MISSED, True),
        ([], Disposition.PENDING, False),
    ],
)
def test_strongest_record_says_how_the_call_ended(
    dispositions: list[Disposition], disposition: Disposition, is_final: bool
) -> None:
    """DESIGN 2.3: leg 1 "no answer", leg 2 "answered" is an answered call; only an ended one is final."""
    call = folded(told(Moment.RINGING), *(ended(one, talk=0) for one in dispositions))
    assert (call.disposition, call.is_final) == (disposition, is_final)


@pytest.mark.parametrize(
    ("talk", "was_taken", "disposition"),
    [
        (12, False, Disposition.ANSWERED),
        (0, True, Disposition.MISSED),
        (None, True, Disposition.ANSWERED),
        (None, False, Disposition.MISSED),
    ],
)
def test_ended_record_without_a_status_is_judged_by_talk_time(
    talk: int | None, was_taken: bool, disposition: Disposition
) -> None:
    fragments = [ended(None, by=OLENA, talk=talk)] + ([told(Moment.TAKEN, OLENA, 5)] if was_taken else [])
    assert folded(*fragments).disposition is disposition


# --- legs -------------------------------------------------------------------------------------------------------

LEGS = [
    pytest.param([ended(by=OLENA)], [("examplecom_olena", True, 30)], id="one answered record"),
    pytest.param([ended(by=OLENA), ended(by=OLENA)], [("examplecom_olena", True, 30)], id="the same record twice"),
    pytest.param(
        [ended(by=OLENA), ended(by=Destination(staff_id="1107", extension="103"), parameters={"attempt": "2"})],
        [("examplecom_olena", True, 30)],
        id="the same leg told under other names",
    ),
    pytest.param(
        [ended(by=OLENA, talk=30), ended(by=OLENA, talk=31, is_recovered=True)],
        [("examplecom_olena", True, 30)],
        id="a row of the list that rounds differently is no second leg",
    ),
    pytest.param(
        [
            told(Moment.FORWARDED, IVAN, 2),
            told(Moment.FORWARDED, OLENA, 15),
            told(Moment.TAKEN, OLENA, 20),
            ended(by=OLENA, happened_at=at(50)),
        ],
        [("examplecom_ivan", False, 0), ("examplecom_olena", True, 30)],
        id="A1: who was rung in vain stays, in order",
    ),
    pytest.param(
        [told(Moment.FORWARDED, IVAN, 2), told(Moment.FORWARDED, OLENA, 15), ended(Disposition.MISSED, talk=0)],
        [("examplecom_ivan", False, 0), ("examplecom_olena", False, 0)],
        id="a missed call keeps whom it rang",
    ),
    pytest.param(
        [
            ended(by=OLENA, talk=40, started_at=BEGIN, recording="https://r/1"),
            ended(by=IVAN, talk=70, started_at=at(60), recording="https://r/2"),
        ],
        [("examplecom_olena", True, 40), ("examplecom_ivan", True, 70)],
        id="C6: a transferred call has a leg for each record",
    ),
    pytest.param(
        [ended(by=OLENA, talk=40, happened_at=at(50)), ended(by=IVAN, talk=70, happened_at=at(125))],
        [("examplecom_olena", True, 40), ("examplecom_ivan", True, 70)],
        id="legs of one beginning stand by when they were heard of",
    ),
    pytest.param(
        [told(Moment.TAKEN, OLENA, 5), told(Moment.TAKEN, IVAN, 40), ended(by=IVAN, happened_at=at(80))],
        [("examplecom_olena", True, 0), ("examplecom_ivan", True, 30)],
        id="who picked up first is a leg though only the last one has a record",
    ),
    pytest.param(
        [told(Moment.TAKEN, OLENA, 5), ended(by=None, talk=25)],
        [("examplecom_olena", True, 25)],
        id="a record without a name belongs to who picked up",
    ),
    pytest.param(
        [told(Moment.FORWARDED, OLENA, 5), ended(by=None, talk=25)],
        [("", True, 25), ("examplecom_olena", False, 0)],
        id="nobody is named as answering: unknown, not the one who was rung",
    ),
    pytest.param(
        [ended(Disposition.MISSED, by=OLENA, talk=0), ended(by=PETRO, talk=9, happened_at=at(40))],
        [("examplecom_olena", False, 0), ("+380671110000", True, 9)],
        id="split records: in vain, then answered (A9)",
    ),
    pytest.param(
        [
            ended(by=Destination(staff_id="1", phone=PETRO.phone)),
            ended(by=Destination(staff_id="2", phone=PETRO.phone)),
        ],
        [("+380671110000", True, 30), ("+380671110000", True, 30)],
        id="two employees at one number are two",
    ),
]


@pytest.mark.parametrize(("fragments", "legs"), LEGS)
def test_legs_of_a_call(fragments: list[CallFragment], legs: list[tuple[str, bool, int]]) -> None:
    assert outline(folded(*fragments)) == legs
    assert outline(folded(*reversed(fragments))) == legs


def test_transferred_call_keeps_every_recording_and_counts_for_the_final_leg() -> None:
    """C6, A6: one record on the employee of the final leg, the other legs beside it."""
    call = folded(
        ended(by=OLENA, talk=40, started_at=BEGIN, recording="https://r/1", duration_seconds=45),
        ended(by=IVAN, talk=70, started_at=at(60), recording="https://r/2", duration_seconds=75),
    )
    assert [leg.recording for leg in call.legs] == ["https://r/1", "https://r/2"]
    assert (call.recording, call.talk_seconds, call.is_transferred) == ("https://r/2", 110, True)
    assert (call.started_at, call.ended_at) == (BEGIN, at(135))


def test_where_records_differ_the_final_legs_counts_and_a_webhooks_before_one_from_the_log() -> None:
    """A9, A6, X8: what an employee before them, a colleague who was rung, or the vendor's list says comes after it."""
    final = ended(by=IVAN, talk=70, started_at=at(60), department="Sales")
    first = ended(by=OLENA, talk=40, started_at=BEGIN, department="Reception")
    rung = ended(Disposition.MISSED, by=PETRO, talk=0, started_at=BEGIN, department="Garage")
    assert folded(first, rung, final).department == "Sales"
    assert folded(first, rung, replace(final, department="")).department in ("Reception", "Garage")
    listed = replace(final, started_at=at(59), department="List", is_recovered=True)
    assert folded(first, listed, final).department == "Sales"
    assert folded(first, listed, replace(final, department="")).department == "List"


def test_forwarding_after_pick_up_tells_of_a_transfer_before_its_second_record() -> None:
    """DESIGN 2.3: a call known to be transferred waits for the rest."""
    taken = told(Moment.TAKEN, OLENA, 5)
    assert not folded(taken, ended(by=OLENA)).is_transferred
    assert not folded(taken, told(Moment.FORWARDED, IVAN, 4), ended(by=OLENA)).is_transferred
    assert folded(taken, told(Moment.FORWARDED, IVAN, 30), ended(by=OLENA)).is_transferred


def test_outbound_call_has_its_caller_as_leg_from_the_first_ring() -> None:
    ringing = replace(told(Moment.RINGING, OLENA), direction=Direction.OUTBOUND)
    assert outline(folded(ringing)) == [("examplecom_olena", False, 0)]
    unanswered = ended(Disposition.MISSED, by=OLENA, talk=0, direction=Direction.OUTBOUND)
    assert outline(folded(ringing, unanswered)) == [("examplecom_olena", False, 0)]


def test_call_in_talk_knows_who_took_it_and_is_not_final() -> None:
    """Z1: creation at pick-up is an option of the policy."""
    call = folded(told(Moment.RINGING), told(Moment.TAKEN, OLENA, 6))
    assert (call.disposition, call.is_final, outline(call)) == (
        Disposition.PENDING,
        False,
        [("examplecom_olena", True, 0)],
    )


def test_talk_that_no_webhook_tells_is_measured_from_pick_up_to_end() -> None:
    """A telephony with nothing but moments (Jivo's callback)."""
    end = told(Moment.ENDED, OLENA, 95, disposition=None)
    call = folded(told(Moment.RINGING, None, 0), told(Moment.TAKEN, OLENA, 20), end)
    assert (call.is_answered, call.talk_seconds) == (True, 75)
    assert folded(told(Moment.RINGING, None, 0), end).disposition is Disposition.MISSED


def test_voicemail_has_its_recording_and_no_talk() -> None:
    call = folded(told(Moment.FORWARDED, OLENA, 3), ended(Disposition.VOICEMAIL, talk=14, recording="https://r/v"))
    assert (call.recording, call.talk_seconds, outline(call)) == ("https://r/v", 0, [("examplecom_olena", False, 0)])


# --- what is added ----------------------------------------------------------------------------------------------


def test_rating_and_summary_only_add() -> None:
    """They come minutes later and must not change how the call ended."""
    call = [told(Moment.TAKEN, OLENA, 5), ended(by=OLENA, happened_at=at(40))]
    late = [
        told(Moment.RATED, IVAN, 60, rating=5, parameters={"employee_mark": "5", "status": "x"}),
        replace(told(Moment.SUMMARISED, None, 200, summary="wants a test drive"), started_at=at(-3600)),
    ]
    plain, full = folded(*call), folded(*call, *late)
    assert (full.rating, full.summary) == (5, "wants a test drive")
    assert replace(full, rating=None, summary="", parameters=plain.parameters) == plain


def test_what_one_webhook_did_not_tell_comes_from_another() -> None:
    first = told(
        Moment.RINGING, attribution=Attribution(utm_source="google", ip="1.2.3.4"), scheme="Main", line=Phone("+380441")
    )
    last = ended(by=OLENA, attribution=Attribution(utm_source="bing"), parameters={"a": "1", "b": ""})
    call = folded(replace(first, parameters={"a": "0", "b": "2"}), last)
    assert call.attribution == Attribution(utm_source="bing", ip="1.2.3.4")
    assert (call.scheme, call.line, dict(call.parameters)) == ("Main", "+380441", {"a": "1", "b": "2"})


def test_call_is_recovered_only_if_no_webhook_told_its_end() -> None:
    """X7: each one found in the vendor's own log is reported."""
    row = ended(by=OLENA, is_recovered=True)
    assert folded(row).is_recovered
    assert folded(row, told(Moment.RINGING)).is_recovered
    assert not folded(row, ended(by=OLENA)).is_recovered


def test_beginning_that_nobody_tells_is_the_receipt() -> None:
    assert folded(replace(told(Moment.RINGING), started_at=None)).started_at == at(1000)


def test_nothing_cannot_be_folded() -> None:
    with pytest.raises(ValueError, match="nothing"):
        folded()


# --- properties -------------------------------------------------------------------------------------------------

#: a busy machine is no fault of what is tested
steady = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

destinations = st.sampled_from(
    [
        None,
        OLENA,
        IVAN,
        PETRO,
        Destination(staff_id="1107"),
        Destination(extension="103"),
        Destination(name="Olena Koval"),
    ]
)
instants = st.none() | st.integers(0, 300).map(at)
fragments = st.builds(
    CallFragment,
    external_id=st.just("c1"),
    moment=st.sampled_from(Moment),
    started_at=instants,
    happened_at=instants,
    direction=st.none() | st.sampled_from(Direction),
    disposition=st.none() | st.sampled_from(Disposition),
    client=st.sampled_from([Identity(), CLIENT, Identity(name="Anna", fields={"inn": "1"})]),
    destination=destinations,
    waiting_seconds=st.none() | st.integers(0, 20),
    duration_seconds=st.none() | st.integers(0, 90),
    talk_seconds=st.none() | st.sampled_from([0, 10, 11]),
    recording=st.sampled_from(["", "https://r/1", "https://r/2"]),
    is_recovered=st.booleans(),
    attribution=st.sampled_from([Attribution(), Attribution(utm_source="a"), Attribution(utm_source="b", ip="1")]),
    summary=st.sampled_from(["", "x", "y"]),
    rating=st.none() | st.integers(1, 2),
    parameters=st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "1", "2"]), max_size=2),
)


@steady
@given(st.lists(fragments, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_any_order_and_repetition_folds_to_the_same_call(known: list[CallFragment], chance: random.Random) -> None:
    """A9, X8."""
    again = [*known, *chance.sample(known, chance.randint(0, len(known)))]
    chance.shuffle(again)
    assert folded(*again) == folded(*known)


@steady
@given(st.lists(fragments, min_size=1, max_size=6))
def test_folded_call_never_contradicts_itself(known: list[CallFragment]) -> None:
    call = folded(*known)
    picked_up = [leg for leg in call.legs if leg.is_answered]
    assert call.is_final == (call.disposition is not Disposition.PENDING)
    if call.is_final:
        assert bool(picked_up) == call.is_answered
    assert call.talk_seconds == sum(leg.talk_seconds for leg in picked_up)


@steady
@given(st.lists(fragments, min_size=1, max_size=4), fragments.map(lambda one: replace(one, moment=Moment.RATED)))
def test_late_rating_changes_nothing_that_was_known(known: list[CallFragment], late: CallFragment) -> None:
    life = [one for one in known if one.moment not in (Moment.RATED, Moment.SUMMARISED)]
    if not life:
        return
    before, after = folded(*life), folded(*life, late)
    assert (after.legs, after.disposition, after.started_at, after.ended_at, after.direction, after.is_final) == (
        before.legs,
        before.disposition,
        before.started_at,
        before.ended_at,
        before.direction,
        before.is_final,
    )


@pytest.mark.parametrize(
    "inner",
    [
        Identity(handles=(("sip", "examplecom_olena"),)),
        Identity(handles=(("extension", "101"),)),
        Identity(phones=(Phone("+380671110000"),)),
    ],
    ids=["login", "extension", "mobile"],
)
def test_a_leg_between_employees_belongs_to_the_clients_call(inner: Identity) -> None:
    """R6: an attended transfer asks the colleague first. Client, direction and number stay the client's."""
    line = Phone("+380441234567")
    call = folded(
        ended(by=PETRO, talk=20, line=line, recording="https://rec.example/a"),
        ended(by=OLENA, talk=5, line=line),
        ended(
            by=IVAN, talk=40, recording="https://rec.example/b", client=inner, direction=Direction.OUTBOUND,
            line=Phone("+380670000000"),
        ),
    )  # fmt: skip
    assert (call.client, call.direction, call.line) == (CLIENT, Direction.INBOUND, line)
    assert {(leg.destination, leg.recording) for leg in call.legs} >= {
        (PETRO, "https://rec.example/a"),
        (IVAN, "https://rec.example/b"),
    }


def test_a_call_between_employees_alone_stays_one() -> None:
    inner = Identity(handles=(("sip", "examplecom_olena"),))
    call = folded(ended(by=IVAN, client=inner), told(Moment.TAKEN, OLENA, 3))
    assert call.client == CLIENT
    alone = folded(ended(by=IVAN, client=inner), replace(told(Moment.TAKEN, IVAN, 3), client=inner))
    assert alone.client == inner
