"""What the sandbox sends: every moment, shape, alias and oddity of the reference's part A (R1, H10)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hub_ringostat.sandbox import (
    Call,
    Dialogue,
    Direction,
    Disorder,
    Moment,
    Outcome,
    Quirk,
    Sandbox,
    Shape,
    SiteForm,
    WebhookRequest,
    standard_webhooks,
)
from hub_ringostat.sandbox.examples import (
    ANSWERED,
    CLIENT,
    JUDGED,
    LINE,
    MISSED,
    NOON,
    OLENA,
    OUTGOING,
    PETRO,
    TARAS,
    TRANSFERRED,
    later,
    leg,
    rung,
)


def sandbox_with(*, moments: tuple[Moment, ...] = tuple(Moment), **options: Any) -> Sandbox:
    sandbox = Sandbox(employees=(OLENA, PETRO, TARAS))
    sandbox.webhooks = standard_webhooks("http://hub.example/hooks/secret?account=7", moments=moments, **options)
    return sandbox


def fields(request: WebhookRequest) -> dict[str, Any]:
    """Parameters of a request whatever its shape, the moment and account of the address left out."""
    if request.headers.get("Content-Type") == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    if request.body:
        payload = json.loads(request.body)
        payload = payload[0] if isinstance(payload, list) else payload
        return {**payload.pop("additional_call_data", {}), **payload}
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def only(sandbox: Sandbox, call: Call, moment: Moment = Moment.AFTER) -> dict[str, Any]:
    """Parameters of the one request for this moment."""
    found = [request for request in sandbox.requests_for(call) if request.moment is moment]
    assert len(found) == 1
    return fields(found[0])


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("plain", [False, True], ids=["classic", "plain"])
def test_answered_call_is_told_in_every_shape(shape: Shape, plain: bool) -> None:
    """A.4: the same parameters, whatever carries them."""
    sandbox = sandbox_with(shape=shape, plain=plain)
    told = only(sandbox, ANSWERED)
    expected = (
        {"call_id": ANSWERED.id, "status": "ANSWERED", "dialog": "62", "caller_number": CLIENT, "staffid": "1101"}
        if plain
        else {
            "uniqueid": ANSWERED.id,
            "disposition": "ANSWERED",
            "billsec": "62",
            "waiting": "9",
            "caller": CLIENT,
            "E164": CLIENT,
            "dst": LINE,
            "employee_number": "1101",
            "connected_with": "examplecom_olena",
            "calldate": "2026-07-29 12:00:00",
        }
    )
    assert expected.items() <= told.items()
    assert told["utm_source"] == "google"
    assert told["recording_wav"].startswith(f"https://app.ringostat.com/recordings/{ANSWERED.id}.wav?token=")


def test_shapes_differ_on_the_wire() -> None:
    """A.4: nested JSON keeps the rest under additional_call_data; an array wraps it; a query has no body."""
    by_shape = {shape: sandbox_with(shape=shape, moments=(Moment.AFTER,)).requests_for(ANSWERED)[0] for shape in Shape}
    assert (by_shape[Shape.QUERY].method, by_shape[Shape.QUERY].body) == ("GET", b"")
    assert by_shape[Shape.FORM].body.startswith(b"utm_source=google&")
    nested = json.loads(by_shape[Shape.NESTED].body)
    assert nested["uniqueid"] == ANSWERED.id
    assert nested["additional_call_data"]["caller"] == CLIENT
    assert "caller" not in nested
    assert json.loads(by_shape[Shape.ARRAY].body) == [nested]
    assert "additional_call_data" not in json.loads(by_shape[Shape.JSON].body)
    for request in by_shape.values():
        query = parse_qs(urlsplit(request.url).query)
        assert (query["moment"], query["account"]) == (["after"], ["7"])


# call, moments in order
MOMENTS = [
    (ANSWERED, ["before", "forwarding", "pickup", "after"]),
    (MISSED, ["before", "forwarding", "after"]),
    (OUTGOING, ["out_before", "out_after"]),
    (TRANSFERRED, ["before", "forwarding", "forwarding", "pickup", "forwarding", "after", "after"]),
    (JUDGED, ["before", "forwarding", "pickup", "after", "rating", "ai"]),
    (SiteForm(id="f1", at=NOON, form="Order", page="example.com/x"), ["form"]),
    (Dialogue(id="d1", opened_at=NOON, closed_at=later(60)), ["dialogue_opened", "dialogue_closed"]),
]


@pytest.mark.parametrize(("event", "moments"), MOMENTS)
def test_every_moment_is_told_in_order(event: Any, moments: list[str]) -> None:
    """R1."""
    assert [request.moment.value for request in sandbox_with().requests_for(event)] == moments


def test_what_is_not_known_yet_is_not_sent() -> None:
    """Before the call there is no result, at forwarding there is a destination but no status."""
    sandbox = sandbox_with()
    before = only(sandbox, ANSWERED, Moment.BEFORE)
    assert before["caller"] == CLIENT
    assert before.keys().isdisjoint({"disposition", "billsec", "connected_with", "recording_wav"})
    forwarding = only(sandbox, ANSWERED, Moment.FORWARDING)
    assert forwarding["connected_with"] == "examplecom_olena"
    assert "disposition" not in forwarding


def test_transferred_call_has_a_record_and_a_recording_per_leg() -> None:
    """C6: one call id, two employees, two recordings."""
    sandbox = sandbox_with(moments=(Moment.AFTER,))
    first, second = (fields(request) for request in sandbox.requests_for(TRANSFERRED))
    assert first["uniqueid"] == second["uniqueid"] == TRANSFERRED.id
    assert (first["employee_number"], second["employee_number"]) == ("1101", "1102")
    assert (first["billsec"], second["billsec"]) == ("60", "100")
    assert first["recording_wav"] != second["recording_wav"]


def test_split_records_tell_who_was_rung_in_vain_under_the_same_id() -> None:
    """A9: leg 1 no answer, leg 2 answered."""
    sandbox = sandbox_with(moments=(Moment.AFTER,))
    sandbox.split = True
    call = replace(ANSWERED, rung=(rung(PETRO, 1, 15), rung(OLENA, 16, 4, answered=True)), legs=(leg(OLENA, 20, 51),))
    told = [fields(request) for request in sandbox.requests_for(call)]
    assert [(each["disposition"], each["employee_number"]) for each in told] == [
        ("NO ANSWER", "1102"),
        ("ANSWERED", "1101"),
    ]
    assert {each["uniqueid"] for each in told} == {call.id}


# quirk, the call, the webhook's names, parameter, what is sent
QUIRKS: list[tuple[frozenset[Quirk], Call, bool, str, Any]] = [
    (frozenset({Quirk.CALLER_ID}), OUTGOING, False, "caller", '"Taras" <380671234506>'),
    (
        frozenset({Quirk.CALLER_ID, Quirk.HTML_ESCAPED}),
        OUTGOING,
        False,
        "caller",
        "&quot;Taras&quot; &lt;380671234506&gt;",
    ),
    (frozenset(), OUTGOING, False, "caller", "380671234506"),
    (frozenset({Quirk.PLUS}), ANSWERED, False, "caller", f"+{CLIENT}"),
    (frozenset({Quirk.DST_IS_CLIENT}), ANSWERED, False, "dst", CLIENT),
    (frozenset({Quirk.CALLEE_IS_LINE}), OUTGOING, True, "callee", LINE),
    (frozenset({Quirk.CALLEE_IS_LINE}), OUTGOING, True, "full_num", CLIENT),
    (frozenset({Quirk.UNDERSCORES}), MISSED, False, "disposition", "NO_ANSWER"),
    (frozenset({Quirk.PLUSES}), MISSED, False, "disposition", "NO+ANSWER"),
    (frozenset({Quirk.LOWER_CASE}), MISSED, False, "disposition", "no answer"),
    (frozenset({Quirk.NUMBERS}), ANSWERED, False, "billsec", 62),
]


@pytest.mark.parametrize(("quirks", "call", "plain", "name", "value"), QUIRKS)
def test_each_oddity_of_live_payloads_is_a_switch(
    quirks: frozenset[Quirk], call: Call, plain: bool, name: str, value: Any
) -> None:
    moment = Moment.OUT_AFTER if call.direction is Direction.OUT else Moment.AFTER
    assert only(sandbox_with(quirks=quirks, plain=plain), call, moment)[name] == value


def test_empty_values_can_be_absent() -> None:
    told = only(sandbox_with(quirks=frozenset({Quirk.ABSENT_EMPTY})), MISSED)
    assert "connected_with" not in told
    assert "" not in told.values()


# call, disposition, has_recording
STATUSES = [
    (ANSWERED, "ANSWERED", "1"),
    (replace(ANSWERED, is_target=True), "PROPER", "1"),
    (replace(ANSWERED, is_repeat=True), "REPEATED", "1"),
    (MISSED, "NO ANSWER", "0"),
    (replace(MISSED, outcome=Outcome.BUSY), "BUSY", "0"),
    (replace(MISSED, outcome=Outcome.FAILED), "FAILED", "0"),
    (replace(MISSED, outcome=Outcome.NO_FORWARD), "NO-FORWARD", "0"),
    (replace(MISSED, outcome=Outcome.VOICEMAIL, voicemail_seconds=9), "VOICEMAIL", "1"),
    (replace(MISSED, outcome=Outcome.CLIENT_NO_ANSWER, direction=Direction.CALLBACK), "CLIENT NO ANSWER", "0"),
]


@pytest.mark.parametrize(("call", "status", "has_recording"), STATUSES)
def test_outcomes_are_told_in_the_vendors_words(call: Call, status: str, has_recording: str) -> None:
    """A.6."""
    told = only(sandbox_with(), call)
    assert (told["disposition"], told["has_recording"]) == (status, has_recording)


def test_callback_comes_through_the_incoming_event() -> None:
    """A.1: told apart by call_type and the insertion type."""
    told = only(sandbox_with(), replace(ANSWERED, direction=Direction.CALLBACK))
    assert (told["type"], told["call_type"], told["insertion_type"]) == ("in", "callback", "callback")


def test_hidden_number_is_anonymous() -> None:
    assert only(sandbox_with(), replace(ANSWERED, client_number=""))["caller"] == "anonymous"


def test_destination_tied_to_nobody_has_no_employee() -> None:
    """Z2."""
    stray = replace(ANSWERED.legs[0], destination="examplecom_hall", employee=None)
    told = only(sandbox_with(), replace(ANSWERED, legs=(stray,)))
    assert (told["connected_with"], told["employee_number"], told["employee_fio"]) == ("examplecom_hall", "-1", "")


def test_date_format_and_zone_are_the_webhooks_own() -> None:
    sandbox = sandbox_with(date_format="%d.%m.%Y %H:%M:%S", zone="UTC")
    assert only(sandbox, ANSWERED)["calldate"] == "29.07.2026 09:00:00"
    assert only(sandbox_with(date_format="unix"), ANSWERED)["calldate"] == str(int(NOON.timestamp()))


def test_forms_own_fields_go_along() -> None:
    """J8."""
    form = SiteForm(id="f1", at=NOON, form="Order", page="example.com/x", phone="098 1", fields={"city": "Lviv"})
    told = fields(sandbox_with().requests_for(form)[0])
    assert (told["form_name"], told["phone"], told["city"]) == ("Order", "098 1", "Lviv")


@pytest.mark.parametrize(
    ("disorder", "count"),
    [
        (Disorder(), 40),
        (Disorder(duplicates=1.0), 80),
        (Disorder(drops=1.0), 0),
        (Disorder(drops=0.5, seed=3), 20),
        (Disorder(reorder=40), 40),
    ],
)
def test_duplicates_drops_and_reordering_are_switches(disorder: Disorder, count: int) -> None:
    """A9, X7; the same seed makes the same disorder."""
    sandbox = sandbox_with()
    calls = [replace(ANSWERED, id=f"c{number}") for number in range(10)]
    orderly = sandbox.requests_for(*calls)
    disturbed = sandbox.requests_for(*calls, disorder=disorder)
    assert disturbed == sandbox.requests_for(*calls, disorder=disorder)
    assert len(disturbed) == pytest.approx(count, abs=0 if disorder.drops in {0.0, 1.0} else 6)
    assert (disturbed == orderly) is (disorder == Disorder())


def test_basic_credentials_go_along_where_set_up() -> None:
    sandbox = sandbox_with(moments=(Moment.AFTER,))
    sandbox.webhooks = tuple(replace(webhook, basic_auth=("hub", "word")) for webhook in sandbox.webhooks)
    assert sandbox.requests_for(ANSWERED)[0].headers["Authorization"] == "Basic aHViOndvcmQ="
