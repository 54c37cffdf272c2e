"""One webhook as it is set up in the vendor's cabinet (reference A.2), and the ready-made sets of them.

A webhook belongs to one event and one moment; its parameters are picked one by one and the name under which
each is sent is editable. ``names`` therefore maps *sent name* to *parameter* (the parameters' own names stand
in ``parameters.py``), and one parameter may be sent under several names at once, as live projects do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Moment(StrEnum):
    """Event and sub-event of the cabinet; outgoing calls have moments of their own, since names differ."""

    BEFORE = "before"
    PICKUP = "pickup"
    FORWARDING = "forwarding"
    AFTER = "after"
    RATING = "rating"
    AI = "ai"
    OUT_BEFORE = "out_before"
    OUT_AFTER = "out_after"
    FORM = "form"
    DIALOGUE_OPENED = "dialogue_opened"
    DIALOGUE_CLOSED = "dialogue_closed"


#: What a ready-made set writes as ``?moment=``: the direction is told by the payload, not by the address.
STATIC_MOMENT = {moment: moment.value.removeprefix("out_") for moment in Moment}


class Shape(StrEnum):
    """How the parameters travel (reference A.4)."""

    QUERY = "query"
    FORM = "form"
    JSON = "json"
    NESTED = "nested"
    ARRAY = "array"


class Quirk(StrEnum):
    """Oddities seen in live payloads (reference A.4, A.5); each is a switch of one webhook."""

    HTML_ESCAPED = "html_escaped"  # caller-id strings arrive as &quot;..&quot; &lt;..&gt;
    PLUS = "plus"  # numbers come with a plus
    CALLER_ID = "caller_id"  # the outgoing caller is "Name" <number or login>, not bare digits
    DST_IS_CLIENT = "dst_is_client"  # incoming: dst repeats the client's number
    CALLEE_IS_LINE = "callee_is_line"  # outgoing: callee repeats outbound_number
    UNDERSCORES = "underscores"  # NO_ANSWER
    PLUSES = "pluses"  # NO+ANSWER
    LOWER_CASE = "lower_case"  # answered, IN -> in
    ABSENT_EMPTY = "absent_empty"  # empty values are left out instead of ""
    NUMBERS = "numbers"  # JSON: whole numbers come as numbers, not as strings
    PAGE_RECORDING = "page_recording"  # recording links come with http://


#: Parameters that stand at the root in the nested shape; the rest goes under additional_call_data.
ROOT_PARAMETERS = frozenset(
    [
        "call_id",
        "direction",
        "call_type",
        "started_at",
        "status",
        "talk",
        "waiting",
        "duration",
        "has_recording",
        "recording_wav",
    ]
)

_TRACKING = {
    name: name
    for name in [
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_content",
        "utm_term",
        "client_id",
        "landing",
        "pool_name",
        "scheme_name",
    ]
} | {"refferrer": "referrer"}

#: The names of the vendor's call log, as in the reference's first example.
CLASSIC_IN: Mapping[str, str] = _TRACKING | {
    "uniqueid": "call_id",
    "type": "direction",
    "call_type": "call_type",
    "calldate": "started_at",
    "caller": "client",
    "userfield": "client",
    "E164": "client",
    "dst": "line",
    "disposition": "status",
    "duration": "duration",
    "billsec": "talk",
    "waiting": "waiting",
    "has_recording": "has_recording",
    "recording_wav": "recording_wav",
    "call_card": "call_card",
    "connected_with": "destination",
    "employee_number": "employee_id",
    "employee_fio": "employee_name",
    "employee_email": "employee_email",
    "extension_number": "extension",
    "department": "department",
    "insertion_type": "insertion",
    "project_id": "project_id",
    "call_counter": "call_counter",
    "category_number": "category",
    "employee_mark": "rating",
}

CLASSIC_OUT: Mapping[str, str] = {
    **{sent: name for sent, name in CLASSIC_IN.items() if sent not in {"userfield", "E164", "insertion_type"}},
    "caller": "caller",
    "dst": "client",
    "outbound_number": "line",
}

#: The names of the reference's second example, with the newer aliases.
PLAIN_IN: Mapping[str, str] = _TRACKING | {
    "call_id": "call_id",
    "type": "direction",
    "call_type": "call_type",
    "date": "started_at",
    "caller_number": "client",
    "n_alias": "line_alias",
    "destination": "line",
    "outbound_number": "line",
    "status": "status",
    "call_duration": "duration",
    "waittime": "waiting",
    "dialog": "talk",
    "has_recording": "has_recording",
    "record": "call_id",
    "recording_wav": "recording_wav",
    "connected_to": "destination",
    "staffid": "employee_id",
    "employee_fio": "employee_name",
    "employee_email": "employee_email",
    "extension": "extension",
    "department": "department",
    "insertion_type": "insertion",
    "project_id": "project_id",
    "employee_mark": "rating",
}

PLAIN_OUT: Mapping[str, str] = {
    **{sent: name for sent, name in PLAIN_IN.items() if sent not in {"caller_number", "n_alias", "destination"}},
    "caller": "caller",
    "callee": "client",
    "full_num": "client_always",
}

#: Parameter names of the AI event are not confirmed (reference A.1 (?)): these are one assumption, in one place.
AI_NAMES: Mapping[str, str] = {
    "uniqueid": "call_id",
    "ai_call_type": "direction",
    "short_summary": "summary",
    "client_mood": "client_mood",
    "employee_mood": "employee_mood",
    "general_mood": "mood",
    "recommended_actions": "actions",
    "transcript": "transcript",
}

#: Parameter names of forms and dialogues are not in the reference either (?).
FORM_NAMES: Mapping[str, str] = _TRACKING | {
    "form_id": "form_id",
    "date": "started_at",
    "form_name": "form_name",
    "page": "page",
    "name": "client_name",
    "phone": "client",
    "email": "client_email",
    "remote_ip": "ip",
    "project_id": "project_id",
}

DIALOGUE_NAMES: Mapping[str, str] = _TRACKING | {
    "dialog_id": "dialogue_id",
    "date": "started_at",
    "name": "client_name",
    "phone": "client",
    "message": "message",
    "staffid": "employee_id",
    "employee_fio": "employee_name",
    "project_id": "project_id",
}

_NO_RESULT_YET = frozenset(
    {"status", "duration", "talk", "waiting", "has_recording", "recording_wav", "rating", "category", "call_card"}
)
_NOBODY_YET = frozenset({"destination", "employee_id", "employee_name", "employee_email", "extension", "department"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The cabinet's settings of one webhook.

    ``url`` may carry a query of its own; ``static`` is added to it (the only way to tell the moments apart,
    reference A.3). ``date_format`` is a strftime format, or "unix". ``zone`` is the zone in which dates are
    written: a date without zone is in the project's zone (?).
    """

    moment: Moment
    url: str
    names: Mapping[str, str]
    method: str = "POST"
    shape: Shape = Shape.JSON
    date_format: str = "%Y-%m-%d %H:%M:%S"
    zone: str = "Europe/Kyiv"
    static: Mapping[str, str] = field(default_factory=dict)
    quirks: frozenset[Quirk] = frozenset()
    basic_auth: tuple[str, str] | None = None
    name: str = ""

    def with_quirks(self, *quirks: Quirk) -> Webhook:
        """The same webhook with these oddities on."""
        return replace(self, quirks=self.quirks | frozenset(quirks))


def names_for(moment: Moment, *, plain: bool = False) -> Mapping[str, str]:
    """The names that one picks in the cabinet for this moment: what is not known yet is not picked."""
    if moment is Moment.AI:
        return AI_NAMES
    if moment is Moment.FORM:
        return FORM_NAMES
    if moment in {Moment.DIALOGUE_OPENED, Moment.DIALOGUE_CLOSED}:
        return DIALOGUE_NAMES
    outgoing = moment in {Moment.OUT_BEFORE, Moment.OUT_AFTER}
    names = (PLAIN_OUT if plain else CLASSIC_OUT) if outgoing else (PLAIN_IN if plain else CLASSIC_IN)
    unknown: frozenset[str] = frozenset()
    if moment in {Moment.BEFORE, Moment.PICKUP, Moment.FORWARDING, Moment.OUT_BEFORE}:
        unknown = _NO_RESULT_YET
    if moment is Moment.BEFORE:
        unknown |= _NOBODY_YET
    return {sent: parameter for sent, parameter in names.items() if parameter not in unknown}


def standard_webhooks(
    url: str,
    *,
    shape: Shape = Shape.NESTED,
    plain: bool = False,
    moments: tuple[Moment, ...] = tuple(Moment),
    quirks: frozenset[Quirk] = frozenset({Quirk.CALLER_ID}),
    zone: str = "Europe/Kyiv",
    date_format: str = "%Y-%m-%d %H:%M:%S",
    secret_in_query: Mapping[str, str] | None = None,
) -> tuple[Webhook, ...]:
    """One webhook for each moment, all to one address with ``?moment=…``, in one shape."""
    return tuple(
        Webhook(
            moment=moment,
            url=url,
            names=names_for(moment, plain=plain),
            method="GET" if shape is Shape.QUERY else "POST",
            shape=shape,
            zone=zone,
            date_format=date_format,
            static={**(secret_in_query or {}), "moment": STATIC_MOMENT[moment]},
            quirks=quirks,
            name=f"hub {moment.value}",
        )
        for moment in moments
    )


def mixed_webhooks(url: str, *, zone: str = "Europe/Kyiv") -> tuple[Webhook, ...]:
    """A project set up by several hands: every moment in another shape, with other names and quirks."""
    setup: dict[Moment, tuple[Shape, bool, frozenset[Quirk]]] = {
        Moment.BEFORE: (Shape.QUERY, False, frozenset()),
        Moment.PICKUP: (Shape.JSON, True, frozenset({Quirk.PLUS})),
        Moment.FORWARDING: (Shape.FORM, False, frozenset()),
        Moment.AFTER: (Shape.NESTED, False, frozenset({Quirk.ABSENT_EMPTY})),
        Moment.RATING: (Shape.ARRAY, False, frozenset()),
        Moment.AI: (Shape.JSON, False, frozenset()),
        Moment.OUT_BEFORE: (Shape.FORM, False, frozenset({Quirk.CALLER_ID, Quirk.HTML_ESCAPED})),
        Moment.OUT_AFTER: (Shape.JSON, True, frozenset({Quirk.CALLER_ID, Quirk.NUMBERS})),
        Moment.FORM: (Shape.FORM, False, frozenset()),
        Moment.DIALOGUE_OPENED: (Shape.JSON, False, frozenset()),
        Moment.DIALOGUE_CLOSED: (Shape.JSON, False, frozenset()),
    }
    webhooks: list[Webhook] = []
    for moment, (shape, plain, quirks) in setup.items():
        webhooks += standard_webhooks(url, shape=shape, plain=plain, moments=(moment,), quirks=quirks, zone=zone)
    return tuple(webhooks)
