"""Each payload file, and what the hub makes of it (R1, R7, J8; reference A)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hub_ringostat.mapping import EVENT_SPELLINGS, Event
from hub_ringostat.source import RingostatSource
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.core.interaction import Direction, Disposition, Form, InteractionId, ProjectId
from hub.core.merge import CallFragment, Moment, fold
from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest, Source

PAYLOADS = Path(__file__).parent / "payloads"
SOURCE = RingostatSource()
AT = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)
CLIENT, LINE = "+380501112233", "+380441234567"
BEGAN = datetime(2026, 7, 29, 8, 5, 45, tzinfo=UTC)


def request_of(path: Path, moment: str | None = None) -> RawRequest:
    """The request that carries the payload; the moment stands in the address, as the set-up page says."""
    event = moment if moment is not None else path.name.partition("__")[0]
    static = f"moment={event}".encode() if event else b""
    content = path.read_bytes()
    if path.suffix == ".query":
        return RawRequest(method="GET", query=b"&".join(part for part in (static, content) if part), received_at=AT)
    kind = "application/json" if path.suffix == ".json" else "application/x-www-form-urlencoded"
    return RawRequest(method="POST", query=static, headers=(("content-type", kind),), body=content, received_at=AT)


def parsed(name: str, channel: ChannelConfig, moment: str | None = None) -> list[Parsed]:
    return list(SOURCE.parse(request_of(PAYLOADS / name, moment), channel))


def facts_of(one: Parsed, names: Any) -> dict[str, Any]:
    """The facts that a row names, as short words."""
    assert isinstance(one, CallFragment)
    by = one.destination
    known = {
        "moment": one.moment,
        "direction": one.direction,
        "disposition": one.disposition,
        "client": (*one.client.phones, *(handle for _, handle in one.client.handles), one.client.name),
        "line": one.line,
        "by": tuple(v for v in (by.phone, by.login, by.staff_id, by.name, by.extension, by.email) if v) if by else (),
        "began": one.started_at,
        "talk": one.talk_seconds,
        "waiting": one.waiting_seconds,
        "duration": one.duration_seconds,
        "recording": one.recording,
        "callback": one.is_callback,
        "department": one.department,
        "scheme": one.scheme,
        "rating": one.rating,
        "summary": one.summary,
        "utm": (one.attribution.utm_source, one.attribution.utm_medium, one.attribution.utm_campaign),
        "visit": (
            one.attribution.ga_client_id,
            one.attribution.landing_page,
            one.attribution.referrer,
            one.attribution.ip,
            one.attribution.pool,
        ),
    }
    return {name: known[name] for name in names}


@dataclass(frozen=True, slots=True)
class Row:
    file: str
    facts: dict[str, Any] = field(default_factory=dict)


IN, OUT = Direction.INBOUND, Direction.OUTBOUND
ROWS = [
    Row(
        "after__nested.json",
        {
            "moment": Moment.ENDED,
            "direction": IN,
            "disposition": Disposition.ANSWERED,
            "client": (CLIENT, ""),
            "line": LINE,
            "by": ("examplecom_olena", "103", "olena@example.com"),
            "began": BEGAN,
            "talk": 62,
            "waiting": 9,
            "recording": "https://app.ringostat.com/recordings/ua0_-1785312345.4410072.wav?token=5c0ffee5",
            "callback": False,
        },
    ),
    Row(
        "after__form.form",
        {
            "disposition": Disposition.ANSWERED,
            "client": (CLIENT, ""),
            "by": ("examplecom_olena", "1107", "Olena Koval"),
            "duration": 71,
            "recording": "http://app.ringostat.com/recordings/x.ogg?token=1",
            "department": "Sales",
            "scheme": "Day",
            "utm": ("google", "cpc", ""),
            "visit": ("111.222", "example.com/cars", "https://google.com/", "203.0.113.5", "Main"),
        },
    ),
    Row("after__query.query", {"disposition": Disposition.MISSED, "by": (), "talk": 0, "utm": ("", "", "")}),
    Row("after__bracketed.form", {"disposition": Disposition.BUSY, "client": (CLIENT, ""), "line": LINE}),
    Row("after__voicemail.json", {"disposition": Disposition.VOICEMAIL, "direction": IN}),
    Row(
        "after__callback.json",
        {
            "disposition": Disposition.CLIENT_MISSED,
            "direction": IN,
            "callback": True,
            "client": (CLIENT, ""),
            "by": ("examplecom_olena",),
        },
    ),
    Row(
        "after__escaped_caller.json",
        # the dialled number and the answering one repeat the client's: neither is believed
        {"client": (CLIENT, "Anna"), "line": LINE, "by": (), "talk": 62, "waiting": 0, "began": BEGAN},
    ),
    Row("after__talk_overrules.json", {"disposition": Disposition.MISSED, "began": BEGAN}),
    Row("after__unknown_status.json", {"disposition": Disposition.ANSWERED, "began": BEGAN}),
    Row("after__anonymous.json", {"disposition": Disposition.MISSED, "client": ("",)}),
    Row("after__alive.json", {"moment": Moment.ENDED, "disposition": Disposition.PENDING}),
    Row("after__wrong_zone.json", {"began": BEGAN.replace(second=44)}),
    Row("after__transit.json", {"client": (CLIENT, ""), "direction": IN, "disposition": Disposition.ANSWERED}),
    Row(
        "outgoing_after__flat.json",
        {
            "moment": Moment.ENDED,
            "direction": OUT,
            "disposition": Disposition.ANSWERED,
            "client": ("+380509998877", ""),
            "line": LINE,
            "by": ("+380671234567", "1107", "Olena Koval"),
            "duration": 71,
        },
    ),
    Row(
        "outgoing_after__callee_is_the_line.form",
        {
            "client": ("+380509998877", ""),
            "line": LINE,
            "by": ("examplecom_olena",),
            "disposition": Disposition.MISSED,
            "direction": OUT,
        },
    ),
    Row("outgoing_after__internal.json", {"client": ("examplecom_ivan", ""), "by": ("examplecom_olena",)}),
    Row("outgoing_after__extensions.json", {"client": ("104", ""), "by": ("103",)}),
    Row(
        "outgoing_before__query.query",
        {"moment": Moment.RINGING, "direction": OUT, "client": ("+380509998877", ""), "disposition": None},
    ),
    Row(
        "before__nested.json",
        {"moment": Moment.RINGING, "client": (CLIENT, ""), "utm": ("instagram", "", ""), "by": (), "scheme": "Day"},
    ),
    Row("before__form.form", {"moment": Moment.RINGING, "disposition": None, "client": (CLIENT, ""), "line": LINE}),
    Row("forwarded__flat.json", {"moment": Moment.FORWARDED, "by": ("examplecom_ivan", "Ivan")}),
    Row("forwarded__destination.query", {"moment": Moment.FORWARDED, "by": ("+380671110000",), "line": LINE}),
    Row(
        "taken__flat.json",
        {"moment": Moment.TAKEN, "by": ("examplecom_olena", "1107"), "talk": None, "disposition": None},
    ),
    Row("rated__form.form", {"moment": Moment.RATED, "rating": 5, "began": None}),
    Row("rated__category.json", {"moment": Moment.RATED, "rating": 4}),
    Row(
        "summarised__flat.json",
        {
            "moment": Moment.SUMMARISED,
            "summary": "Asks for a test drive\nНастрій клієнта: good\nРекомендовані дії: Call on Friday\n"
            "Розшифровка: https://app.ringostat.com/recordings/x.vtt?token=1",
        },
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_payload_tells_these_facts(row: Row, channel: ChannelConfig) -> None:
    [one] = parsed(row.file, channel)
    assert facts_of(one, row.facts) == row.facts


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_payload_keeps_every_parameter_for_conditions_and_texts(row: Row, channel: ChannelConfig) -> None:
    [one] = parsed(row.file, channel)
    assert isinstance(one, CallFragment)
    assert one.parameters["moment"] == row.file.partition("__")[0]
    assert one.external_id.endswith((".4410072", ".4410199"))


@pytest.mark.parametrize("event", ["after", "outgoing_after", "taken", "rated", "summarised", "form"])
def test_event_is_recognised_without_its_moment_in_the_address(event: str, channel: ChannelConfig) -> None:
    """`forwarded` and `before` cannot be told from one another without it."""
    for path in PAYLOADS.glob(f"{event}__*"):
        if path.name in ("after__alive.json", "after__query.query"):
            continue
        named = list(SOURCE.parse(request_of(path), channel))
        shown = list(SOURCE.parse(request_of(path, ""), channel))
        assert [type(one) for one in shown] == [type(one) for one in named]
        for one, other in zip(shown, named, strict=True):
            if isinstance(one, CallFragment) and isinstance(other, CallFragment) and path.name != "taken__flat.json":
                assert (one.moment, one.direction) == (other.moment, other.direction), path.name


def test_array_of_records_is_one_answered_call_with_both_employees(channel: ChannelConfig) -> None:
    """A9: split records of one call."""
    records = parsed("after__array.json", channel)
    fragments = [one for one in records if isinstance(one, CallFragment)]
    call = fold(
        fragments,
        id=InteractionId("i"),
        project=ProjectId("p"),
        channel="phone",
        source="ringostat",
        received_at=AT,
    )
    assert [(leg.destination.login, leg.is_answered) for leg in call.legs] == [
        ("examplecom_ivan", False),
        ("examplecom_olena", True),
    ]


def test_legs_of_one_request_stand_in_its_order(channel: ChannelConfig) -> None:
    """A long second leg is not taken for the first."""
    body = (
        '[{"uniqueid": "1.2", "billsec": 10, "connected_with": "shop_a"},'
        ' {"uniqueid": "1.2", "billsec": 600, "connected_with": "shop_b"}]'
    )
    fragments = [one for one in SOURCE.parse(with_body(body), channel) if isinstance(one, CallFragment)]
    call = fold(
        fragments[::-1],
        id=InteractionId("i"),
        project=ProjectId("p"),
        channel="phone",
        source="ringostat",
        received_at=AT,
    )
    assert [leg.destination.login for leg in call.legs] == ["shop_a", "shop_b"]


# --- forms and what is ignored ----------------------------------------------------------------------------------


def test_site_form_is_a_form(channel: ChannelConfig) -> None:
    """J8."""
    [form] = parsed("form__form.form", channel)
    assert isinstance(form, Form)
    assert (form.client.phones, form.client.emails, form.client.name) == ((CLIENT,), ("anna@example.com",), "Anna")
    assert (form.form_name, form.page, form.text) == ("Test drive", "https://example.com/cars", "On Friday")
    assert (form.attribution.utm_source, form.parameters["size"], form.started_at) == ("google", "XL", AT)


def test_form_sent_twice_at_once_has_one_id_and_another_form_has_another(channel: ChannelConfig) -> None:
    first, again = (parsed("form__form.form", channel)[0] for _ in range(2))
    [other] = parsed("form__flat.json", channel)
    assert isinstance(first, Form)
    assert isinstance(again, Form)
    assert isinstance(other, Form)
    assert first.external_id == again.external_id
    assert (other.external_id, other.started_at, other.client.phones) == ("f-77", BEGAN, ())


@pytest.mark.parametrize("event", ["dialogue_opened", "dialogue_closed", "deal"])
def test_event_that_is_not_needed_is_ignored_on_purpose(event: str, channel: ChannelConfig) -> None:
    [one] = parsed(f"{event}__flat.json", channel)
    assert isinstance(one, Ignored)
    assert one.reason


# --- completeness -----------------------------------------------------------------------------------------------


def test_each_declared_event_has_a_payload_and_each_payload_a_declared_event() -> None:
    assert {path.name.partition("__")[0] for path in PAYLOADS.iterdir()} == set(SOURCE.events)


def test_each_payload_has_a_row() -> None:
    elsewhere = {"after__array.json"} | {
        path.name for path in PAYLOADS.iterdir() if path.name.startswith(("form__", "dialogue", "deal"))
    }
    assert {path.name for path in PAYLOADS.iterdir()} == {row.file for row in ROWS} | elsewhere


def test_each_event_is_its_own_spelling() -> None:
    assert all(EVENT_SPELLINGS[event.value] is event for event in Event)


def test_source_satisfies_its_protocol() -> None:
    assert isinstance(SOURCE, Source)
    # the door does nothing yet: Ringostat signs nothing
    SOURCE.verify(request_of(PAYLOADS / "after__form.form"), None)  # type: ignore[arg-type]


# --- settings ---------------------------------------------------------------------------------------------------

MakeChannel = Callable[..., ChannelConfig]


def with_body(body: str, query: bytes = b"moment=after") -> RawRequest:
    return RawRequest(method="POST", query=query, body=body.encode(), received_at=AT)


def fragment(body: str, channel: ChannelConfig, query: bytes = b"moment=after") -> CallFragment:
    [one] = SOURCE.parse(with_body(body, query), channel)
    assert isinstance(one, CallFragment)
    return one


def test_renamed_parameters_are_a_setting(make_channel: MakeChannel) -> None:
    """R1: the mapping is policy, with a default; what is not renamed keeps its default names."""
    channel = make_channel(parameters={"client_inbound": ["Kunde"], "call_id": ["id"]}, moment_parameter="what")
    one = fragment(
        '{"id": "1.2", "kunde": "0501112233", "caller": "380509998877", "type": "in"}', channel, b"what=taken"
    )
    assert (one.external_id, one.client.phones, one.moment) == ("1.2", (CLIENT,), Moment.TAKEN)


@pytest.mark.parametrize(
    ("settings_", "told", "began"),
    [
        ({}, "2026-07-29 11:05:45", BEGAN),
        ({"zone_of_times": "utc"}, "2026-07-29 08:05:45", BEGAN),
        ({"zone_of_times": "channel"}, "2026-07-29 08:05:45", BEGAN.replace(hour=5)),
        ({}, "2026-07-29 12:05:45", BEGAN),
        # 40 minutes later is a leg that began later, not another zone
        ({}, "2026-07-29 11:45:45", BEGAN.replace(minute=45)),
        ({}, "1785312345", BEGAN),
        ({}, "1785312345000", BEGAN),
        ({}, "29/07/2026 11:05", BEGAN.replace(second=0)),
        ({}, "29.07.2026 11:05:45 +03:00", BEGAN),
        ({}, "2026-07-29T11:05:45+0300", BEGAN),
        ({"date_format": "%m/%d/%y %I:%M:%S %p"}, "07/29/26 11:05:45 AM", BEGAN),
    ],
)
def test_time_in_each_form_is_the_same_instant(
    settings_: dict[str, Any], told: str, began: datetime, make_channel: MakeChannel
) -> None:
    channel = make_channel(**settings_)
    one = fragment(f'{{"uniqueid": "ua0_-1785312345.1", "calldate": "{told}", "type": "in"}}', channel)
    assert one.started_at == began


def test_talk_on_voicemail_can_be_set_to_count_as_a_conversation(make_channel: MakeChannel) -> None:
    body = '{"uniqueid": "1.2", "disposition": "VOICEMAIL", "billsec": 9}'
    assert fragment(body, make_channel()).disposition is Disposition.VOICEMAIL
    assert fragment(body, make_channel(voicemail_talk_is_answered=True)).disposition is Disposition.ANSWERED


@pytest.mark.parametrize("setting", list(SOURCE.settings_model.model_fields))
def test_each_setting_is_explained(setting: str) -> None:
    """The set-up page shows them (H12)."""
    described = SOURCE.settings_model.model_fields[setting]
    assert described.title
    assert described.description


@pytest.mark.parametrize("status", ["no answer", "NO_ANSWER", "No+Answer", "NO-ANSWER", " NO  ANSWER "])
def test_status_in_each_spelling(status: str, channel: ChannelConfig) -> None:
    assert fragment(f'{{"uniqueid": "1.2", "disposition": "{status}"}}', channel).disposition is Disposition.MISSED


@pytest.mark.parametrize(
    ("fields", "direction"),
    [
        ('"type": "in", "call_type": "out"', IN),
        ('"type": "", "call_type": "OUT"', OUT),
        ('"call_type": "transitout"', OUT),
        ('"direction": "outgoing"', OUT),
        ('"direction": "incoming"', IN),
        ('"type": "callback"', IN),
        ('"callee": "380501112233"', OUT),
        ('"caller": "380501112233"', IN),
    ],
)
def test_direction_by_the_vendors_rule(fields: str, direction: Direction, channel: ChannelConfig) -> None:
    """Reference A.5, rule 1: an empty field hides nothing."""
    assert fragment(f'{{"uniqueid": "1.2", {fields}}}', channel).direction is direction


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field_"),
    [
        ('{"type": "in", "disposition": "ANSWERED"}', "uniqueid"),
        ('{"uniqueid": "1.2", "billsec": "much"}', "billsec"),
        ('{"uniqueid": "1.2", "duration": "nan"}', "duration"),
        ('{"uniqueid": "1.2", "calldate": "yesterday"}', "calldate"),
        ('{"uniqueid": "1.2", "date": "9999-99-99"}', "date"),
        ('{"uniqueid": "1.2", "calldate": "0001-01-01 00:00:00"}', "calldate"),
        ('{"uniqueid": "1.2", "calldate": "9999-12-31 23:59:59"}', "calldate"),
        ("{", "body"),
        ("[]", "body"),
        ("[1]", "body"),
        ("", "uniqueid"),
        (f'{{"uniqueid": "{"9" * 200}"}}', "call_id"),
    ],
)
def test_what_cannot_be_read_names_its_field(body: str, field_: str, channel: ChannelConfig) -> None:
    """H11: kept and shown, with the field at fault."""
    with pytest.raises(PayloadError) as caught:
        SOURCE.parse(with_body(body), channel)
    assert (caught.value.field, caught.value.source) == (field_, "ringostat")
    assert caught.value.raw == (body or "moment=after")


def test_one_request_holds_no_more_records_than_others_can_wait_for(channel: ChannelConfig) -> None:
    """H8, H11: they are stored in one transaction; what is more is kept and shown, and stops nobody."""
    record = '{"uniqueid": "1.2", "calldate": "2026-07-29 11:05:45"}'
    assert len(SOURCE.parse(with_body(f"[{','.join([record] * 1000)}]"), channel)) == 1000
    with pytest.raises(PayloadError, match="1001 records") as caught:
        SOURCE.parse(with_body(f"[{','.join([record] * 1001)}]"), channel)
    assert caught.value.field == "body"


jsonish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CALL_NAMES = ["uniqueid", "calldate", "type", "caller", "dst", "billsec", "disposition", "connected_with", "callee"]
OTHER_NAMES = ["phone", "moment", "additional_call_data", "employee_mark", "staffid", "waiting", "outbound_number"]
names = st.sampled_from([*CALL_NAMES, *OTHER_NAMES])
payloads = st.dictionaries(names | st.text(max_size=5), jsonish, max_size=8)


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.binary(max_size=80) | payloads.map(as_bytes) | st.lists(payloads, max_size=3).map(as_bytes),
    query=st.binary(max_size=60) | st.sampled_from([b"moment=after", b"moment=form", b"moment=taken", b"moment=deal"]),
    kind=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]) | st.text(max_size=10),
)
@example(body=b"[" * 100_000, query=b"", kind="")
@example(body=b'{"a":' * 2000, query=b"", kind="")
@example(body=b'{"uniqueid": 1e400}', query=b"moment=after", kind="")
@example(body=b"a=1&" * 5000, query=b"", kind="")
@example(body=b'{"uniqueid": "1785312345.1", "calldate": "9999-12-31 23:59:59"}', query=b"moment=after", kind="")
@example(body=b'{"uniqueid": "-9999999999.1", "calldate": "2026-01-01"}', query=b"moment=after", kind="")
@example(body=b'{"uniqueid": "1.2", "billsec": "1\xc2\xb2"}', query=b"moment=after", kind="")
def test_any_bytes_are_read_or_refused_with_a_payload_error(
    body: bytes, query: bytes, kind: str, channel: ChannelConfig
) -> None:
    """Total: nothing else is ever raised."""
    request = RawRequest(method="POST", query=query, headers=(("content-type", kind),), body=body, received_at=AT)
    with contextlib.suppress(PayloadError):
        assert SOURCE.parse(request, channel)
