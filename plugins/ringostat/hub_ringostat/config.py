"""A Ringostat channel's settings: what the cabinet lets one choose, and each doubt of the vendor's documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

__all__ = [
    "ALIASES",
    "LIST_FIELDS",
    "LabelLanguage",
    "Meaning",
    "QuestionShape",
    "ReplyForm",
    "RingostatSettings",
    "RpcResult",
    "ZoneOfTimes",
]


class Meaning(StrEnum):
    """What a parameter means, whatever name it is sent under."""

    CALL_ID = "call_id"
    TYPE = "type"
    DIRECTION = "direction"
    INSERTION = "insertion"
    CLIENT_INBOUND = "client_inbound"
    CLIENT_OUTBOUND = "client_outbound"
    CALLER_OUTBOUND = "caller_outbound"
    LINE_INBOUND = "line_inbound"
    LINE_OUTBOUND = "line_outbound"
    DESTINATION = "destination"
    RUNG = "rung"
    STAFF_ID = "staff_id"
    EMPLOYEE_NAME = "employee_name"
    EMPLOYEE_EMAIL = "employee_email"
    EXTENSION = "extension"
    DEPARTMENT = "department"
    STATUS = "status"
    STARTED_AT = "started_at"
    DURATION = "duration"
    WAITING = "waiting"
    TALK = "talk"
    HAS_RECORDING = "has_recording"
    RECORDING = "recording"
    CARD_URL = "card_url"
    UTM_SOURCE = "utm_source"
    UTM_MEDIUM = "utm_medium"
    UTM_CAMPAIGN = "utm_campaign"
    UTM_CONTENT = "utm_content"
    UTM_TERM = "utm_term"
    GA_CLIENT_ID = "ga_client_id"
    IP = "ip"
    REFERRER = "referrer"
    LANDING = "landing"
    POOL = "pool"
    SCHEME = "scheme"
    RATING = "rating"
    SUMMARY = "summary"
    CLIENT_MOOD = "client_mood"
    EMPLOYEE_MOOD = "employee_mood"
    GENERAL_MOOD = "general_mood"
    RECOMMENDED_ACTIONS = "recommended_actions"
    TRANSCRIPT = "transcript"
    FORM_ID = "form_id"
    FORM_NAME = "form_name"
    FORM_PHONE = "form_phone"
    FORM_EMAIL = "form_email"
    CLIENT_NAME = "client_name"
    FORM_TEXT = "form_text"
    FORM_PAGE = "form_page"
    QUESTION_ID = "question_id"
    QUESTION_CALLER = "question_caller"
    QUESTION_LINE = "question_line"


#: the names under which each meaning is looked for, in order (reference A.5; those after ``# (?)`` are guesses)
ALIASES: dict[Meaning, tuple[str, ...]] = {
    Meaning.CALL_ID: ("uniqueid", "call_id", "record", "cdr_id", "uuid"),
    Meaning.TYPE: ("type",),
    Meaning.DIRECTION: ("direction", "call_direction", "call_type", "ai_call_type"),
    # (?) the vendor names the values (dynamic, static, callback) but not the parameter
    Meaning.INSERTION: ("insertion_type", "insert_type", "substitution_type", "number_type"),
    Meaning.CLIENT_INBOUND: ("caller", "E164", "userfield", "caller_number", "full_num"),
    Meaning.CLIENT_OUTBOUND: ("callee", "dst", "full_num", "destination"),
    Meaning.CALLER_OUTBOUND: ("caller", "caller_number"),
    Meaning.LINE_INBOUND: ("dst", "n_alias", "destination"),
    Meaning.LINE_OUTBOUND: ("outbound_number",),
    Meaning.DESTINATION: ("connected_with", "connected_to"),
    # (?) under which name the location of "forwarding to a location" comes is not confirmed
    Meaning.RUNG: ("forwarded_to", "forward_to", "location", "connected_with", "connected_to", "destination"),
    Meaning.STAFF_ID: ("staffid", "employee_number", "staff_id"),
    Meaning.EMPLOYEE_NAME: ("employee_fio",),
    Meaning.EMPLOYEE_EMAIL: ("employee_email",),
    Meaning.EXTENSION: ("extension_number", "extension"),
    Meaning.DEPARTMENT: ("department",),
    Meaning.STATUS: ("disposition", "status", "call_status"),
    Meaning.STARTED_AT: ("calldate", "date"),
    Meaning.DURATION: ("duration", "call_duration"),
    Meaning.WAITING: ("waiting", "waittime"),
    Meaning.TALK: ("billsec", "dialog"),
    Meaning.HAS_RECORDING: ("has_recording",),
    Meaning.RECORDING: ("recording_wav", "recording", "record_link", "record_url"),
    Meaning.CARD_URL: ("call_card",),
    Meaning.UTM_SOURCE: ("utm_source",),
    Meaning.UTM_MEDIUM: ("utm_medium",),
    Meaning.UTM_CAMPAIGN: ("utm_campaign",),
    Meaning.UTM_CONTENT: ("utm_content",),
    Meaning.UTM_TERM: ("utm_term",),
    Meaning.GA_CLIENT_ID: ("client_id",),
    Meaning.IP: ("remote_ip",),
    Meaning.REFERRER: ("refferrer", "referrer", "referer"),
    Meaning.LANDING: ("landing",),
    Meaning.POOL: ("pool_name",),
    Meaning.SCHEME: ("scheme_name",),
    Meaning.RATING: ("employee_mark", "category_mark"),
    # (?) the names of the AI event's parameters are not confirmed, only their meaning
    Meaning.SUMMARY: ("summary", "short_summary", "ai_summary", "call_summary"),
    Meaning.CLIENT_MOOD: ("client_mood", "ai_client_mood"),
    Meaning.EMPLOYEE_MOOD: ("employee_mood", "ai_employee_mood"),
    Meaning.GENERAL_MOOD: ("general_mood", "ai_general_mood"),
    Meaning.RECOMMENDED_ACTIONS: ("recommended_actions", "ai_recommended_actions", "recommendations"),
    Meaning.TRANSCRIPT: ("transcript", "transcription", "transcript_url", "recording_vtt"),
    # (?) the parameters of the form event are not documented at all
    Meaning.FORM_ID: ("form_request_id", "lead_id", "request_id", "form_id"),
    Meaning.FORM_NAME: ("form_name", "form", "form_title"),
    Meaning.FORM_PHONE: ("phone", "client_phone", "tel", "caller", "E164", "userfield", "caller_number"),
    Meaning.FORM_EMAIL: ("email", "client_email", "mail"),
    Meaning.CLIENT_NAME: ("name", "client_name", "fio", "full_name"),
    Meaning.FORM_TEXT: ("comment", "message", "text", "question"),
    Meaning.FORM_PAGE: ("page", "page_url", "url", "landing"),
    Meaning.QUESTION_ID: ("uuid",),
    Meaning.QUESTION_CALLER: ("caller", "E164", "userfield", "caller_number", "full_num"),
    Meaning.QUESTION_LINE: ("dst", "n_alias", "destination"),
}


# fmt: off
#: what is asked of ``GET /calls/list`` (reference C.2: documented, and ``recording_wav``, ``department``,
#: ``caller_number``, ``employee_fio``, which live clients ask for)
LIST_FIELDS = (
    "uniqueid", "calldate", "call_type", "caller", "caller_number", "dst", "connected_with", "disposition",
    "duration", "billsec", "waittime", "recording", "recording_wav", "has_recording", "call_card",
    "employee_number", "employee_fio", "department", "employee_mark", "category_number", "category_mark",
    "call_counter", "proper_flag", "repeated_flag", "pool_name", "scheme_name", "additional_number",
    "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "client_id", "remote_ip", "refferrer",
    "landing",
)
# fmt: on


class ReplyForm(StrEnum):
    """The cabinet's "Data import type" of a webhook number (reference B.1)."""

    PLAIN = "plain"
    JSON = "json"
    JSON_RPC = "json-rpc"


class RpcResult(StrEnum):
    """Where a JSON-RPC answer holds the destination: the vendor shows no sample (?)."""

    FIELD = "field"
    PLAIN = "plain"


class ZoneOfTimes(StrEnum):
    """How a time without a zone is read: the vendor does not say whose zone it is (?)."""

    CALL_ID = "call_id"
    CHANNEL = "channel"
    UTC = "utc"


class LabelLanguage(StrEnum):
    """In which language the parts of an AI summary are named."""

    UK = "uk"
    RU = "ru"
    EN = "en"


def _setting(title: str, description: str, default: Any = ..., **more: Any) -> Any:
    return Field(default, title=title, description=description, **more)


#: names that only a question inside a message of another form has around it
_ENVELOPE = frozenset({"jsonrpc", "method", "params"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionShape:
    """Which of a forwarding question's names count, where all have a value; "" and () where none does."""

    callers: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    own: str = ""
    call: str = ""

    @classmethod
    def of(cls, names: Sequence[str], groups: Sequence[Sequence[str]]) -> QuestionShape:
        """``groups`` as in `RingostatSettings.question_names`; without callers if ``names`` are not plain words."""
        if any(name != name.lower() for name in names) or not _ENVELOPE.isdisjoint(names):
            return cls()
        callers, lines, own, calls = ([name for name in group if name in names] for group in groups)
        return cls(callers=tuple(callers), lines=tuple(lines), own=next(iter(own), ""), call=next(iter(calls), ""))


class RingostatSettings(BaseModel):
    """Settings of one Ringostat project; with the defaults alone its webhooks can be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # --- the account
    project_id: str = _setting(
        "Project", "The project's number: it stands in the address of the Ringostat cabinet.", "", max_length=32
    )
    auth_key: SecretStr = _setting(
        "Auth-key",
        "Cabinet: Integration > Ringostat API. Needed to read the call log, employees and to order callbacks.",
        SecretStr(""),
    )
    api_base: str = _setting(
        "API address", "Where the Ringostat API answers; change it only for the sandbox.", "https://api.ringostat.net"
    )

    # --- webhooks
    moment_parameter: str = _setting(
        "Moment parameter",
        "The static parameter in a webhook's address that says which moment it tells of, as in ?moment=after.",
        "moment",
        min_length=1,
    )
    parameters: dict[Meaning, tuple[str, ...]] = _setting(
        "Parameter names",
        "For parameters that were renamed in the cabinet: the names to look for, in order, by meaning. "
        "Meanings that are not listed keep the names that Ringostat uses by default.",
        {},
    )
    nested_key: str = _setting(
        "Nested object",
        "The name of the object in which JSON webhooks carry part of the parameters.",
        "additional_call_data",
    )
    date_format: str = _setting(
        "Date format",
        "Only if the webhook's date format is unusual: the format in Python's notation, as in %d.%m.%Y %H:%M:%S. "
        "Empty: ISO 8601, day.month.year, day/month/year and seconds since 1970 are recognised.",
        "",
    )
    zone_of_times: ZoneOfTimes = _setting(
        "Zone of times",
        "Times come without a zone. call_id: the channel's zone, corrected by the clock inside the call's id; "
        "channel: always the channel's zone; utc: always UTC.",
        ZoneOfTimes.CALL_ID,
    )
    voicemail_talk_is_answered: bool = _setting(
        "Talk time on voicemail is a conversation",
        "Off: a call that went to voicemail stays a voicemail, however long the message is.",
        False,
    )
    label_language: LabelLanguage = _setting(
        "Language of the AI summary",
        "In which language the parts of the AI summary (moods, recommended actions) are named in the CRM's note.",
        LabelLanguage.UK,
    )
    empty_values: tuple[str, ...] = _setting(
        "Values that mean nothing",
        "What Ringostat writes into marketing parameters that it does not know.",
        ("(direct)", "(none)", "(not set)", "none", "not set"),
    )

    # --- the webhook number (smart forwarding)
    reply_form: ReplyForm = _setting(
        "Answer form", "The same as «Data import type» of the webhook number in the cabinet.", ReplyForm.PLAIN
    )
    reply_key: str = _setting(
        "Name of the destination in the answer",
        "For the json and json-rpc answer forms: the key under which the destination is put, as in the cabinet.",
        "destination",
    )
    rpc_result: RpcResult = _setting(
        "JSON-RPC result",
        "field: the result is an object with the destination under the name above; plain: the result is the "
        "destination itself.",
        RpcResult.FIELD,
    )

    # --- the call log
    list_fields: tuple[str, ...] = _setting(
        "Fields of the call log",
        "What is asked of /calls/list.",
        LIST_FIELDS,
        min_length=1,
    )
    list_zone: str = _setting(
        "Zone of the call log", "The zone in which the period of the call log is asked for (IANA name).", "UTC"
    )
    list_overlap_hours: Annotated[int, Field(ge=0, le=48)] = _setting(
        "Overlap of the call log, hours",
        "How much more is asked on both sides of a period, because the vendor does not say in which zone it reads it.",
        14,
    )
    list_window_days: Annotated[int, Field(ge=1, le=31)] = _setting(
        "Window of the call log, days", "The longest period that is asked for in one request.", 1
    )
    list_limit: Annotated[int, Field(ge=1)] = _setting(
        "Limit of the call log", "At this many calls an answer is taken for cut off, and its period is halved.", 6500
    )

    # --- callbacks
    ring_employee_first: bool = _setting(
        "Callback rings the employee first", "Otherwise the client is rung first (manager_dst).", True
    )

    @cached_property
    def names(self) -> Mapping[Meaning, tuple[str, ...]]:
        """For each meaning the names under which it is looked for, in order, in lower case."""
        chosen = {**ALIASES, **{meaning: names for meaning, names in self.parameters.items() if names}}
        return {meaning: tuple(name.casefold() for name in names) for meaning, names in chosen.items()}

    @cached_property
    def question_names(self) -> tuple[tuple[str, ...], ...]:
        """`names` of what forwarding asks for: the caller, the line, the question's own id, the call's.

        The ids of a question and of a call have names in common; there such a name is the question's.
        """
        own = self.names[Meaning.QUESTION_ID]
        return (
            self.names[Meaning.QUESTION_CALLER],
            self.names[Meaning.QUESTION_LINE],
            own,
            tuple(name for name in self.names[Meaning.CALL_ID] if name not in own),
        )

    @cached_property
    def question_shapes(self) -> dict[tuple[str, ...], QuestionShape]:
        """What forwarding has found in the sets of names that came."""
        return {}

    @field_validator("api_base")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with https:// (or http:// for the sandbox)")
        return value.rstrip("/")

    @field_validator("list_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as err:
            raise ValueError(f"{value!r} is not a time zone; use a name such as Europe/Kyiv") from err
        return value
