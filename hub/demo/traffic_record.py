"""The traffic file, ``traffic/1``, in types; docs/traffic-file.md describes every key.

Times are ISO 8601 in UTC, durations whole seconds, ``client_number`` international digits without a plus,
null when it was hidden. No vendor is named: sandboxes and the auditor read the file on their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

__all__ = [
    "FORMAT",
    "CallRecord",
    "ChatRecord",
    "FormRecord",
    "LegRecord",
    "MessageRecord",
    "Preload",
    "RungRecord",
    "TrafficFile",
    "load",
]

FORMAT = "traffic/1"


class RungRecord(TypedDict):
    """A destination that rang; ``employee`` is null when it is tied to nobody."""

    employee: str | None
    destination: str
    at: str
    seconds: int
    answered: bool


class LegRecord(TypedDict):
    """One employee's talk; ``transfer`` is null, "attended" or "blind"."""

    employee: str | None
    destination: str
    answered_at: str
    talk_seconds: int
    recording: bool
    transfer: str | None


class CallRecord(TypedDict):
    """One call; docs/traffic-file.md describes each key."""

    id: str
    scenario: str
    kind: str
    direction: str
    outcome: str
    client_number: str | None
    company_number: str
    scheme: str
    started_at: str
    ended_at: str
    rung: list[RungRecord]
    legs: list[LegRecord]
    initiator: dict[str, str] | None
    voicemail_seconds: int
    attribution: dict[str, str]
    number_of_client: int


class FormRecord(TypedDict):
    """A form submitted on the company's site (J8)."""

    id: str
    at: str
    form: str
    page: str
    name: str
    phone: str
    email: str
    fields: dict[str, str]
    attribution: dict[str, str]


class ChatRecord(TypedDict):
    """A chat on the company's site (J1); ``employee`` is null if nobody answered."""

    id: str
    at: str
    visitor: int
    name: str
    client_number: str
    employee: str | None
    lines: list[list[str]]
    page: str
    attribution: dict[str, str]
    rate: str | None


class MessageRecord(TypedDict):
    """A message in a messenger and its answer, if any (W6)."""

    id: str
    at: str
    name: str
    client_number: str
    text: str
    employee: str | None
    answer: str


class Preload(TypedDict):
    """The CRM before the day: names, numbers as people typed them, responsibles by e-mail."""

    pipelines: list[dict[str, Any]]
    users: list[dict[str, Any]]
    contacts: list[dict[str, Any]]
    deals: list[dict[str, Any]]
    tasks: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFile:
    """One company's day; ``to_record`` is the JSON of it."""

    company: Mapping[str, str]
    numbers: list[dict[str, Any]]
    private_lines: list[str]
    employees: list[dict[str, str]]
    calls: list[CallRecord]
    forms: list[FormRecord]
    chats: list[ChatRecord]
    messages: list[MessageRecord]
    preload: Preload
    seed: int

    def to_record(self) -> dict[str, Any]:
        """Plain JSON, the same bytes for the same seed."""
        return {
            "format": FORMAT,
            "seed": self.seed,
            "company": dict(self.company),
            "numbers": self.numbers,
            "private_lines": self.private_lines,
            "employees": self.employees,
            "calls": self.calls,
            "forms": self.forms,
            "chats": self.chats,
            "messages": self.messages,
            "preload": self.preload,
        }


def load(record: Mapping[str, Any]) -> TrafficFile:
    """Read what ``to_record`` wrote; ValueError for another format."""
    if record.get("format") != FORMAT:
        raise ValueError(f"not a traffic file of format {FORMAT!r}: {record.get('format')!r}")
    return TrafficFile(
        company=record["company"],
        numbers=list(record["numbers"]),
        private_lines=list(record["private_lines"]),
        employees=list(record["employees"]),
        calls=cast(list[CallRecord], list(record["calls"])),
        forms=cast(list[FormRecord], list(record["forms"])),
        chats=cast(list[ChatRecord], list(record.get("chats", ()))),
        messages=cast(list[MessageRecord], list(record.get("messages", ()))),
        preload=cast(Preload, record["preload"]),
        seed=record["seed"],
    )
