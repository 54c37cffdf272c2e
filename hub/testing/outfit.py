"""What a plugin hands to the conformance kit (X4): itself, its payload files, its sandbox.

A plugin keeps its outfit in ``hub_NAME/conformance.py`` as ``OUTFIT``, so that ``hub plugin check NAME`` finds it where
only the wheel is installed; its test file says ``TestConformance = source_suite(OUTFIT)`` and nothing more
(`hub.testing.suites`). An outfit knows the plugin's sandbox; it must never tell what the plugin's client told it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import httpx
from pydantic import BaseModel

from hub.core.outgoing import Outgoing
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import ChannelConfig, ConnectionContext, RawRequest, Rule, Sink, Source, Write

__all__ = [
    "ARRIVED",
    "DEEDS",
    "CrmStage",
    "Fault",
    "Held",
    "Outfit",
    "RotatesTokens",
    "RuleOutfit",
    "SinkOutfit",
    "SourceOutfit",
    "SourceStage",
    "payloads_of",
    "request_of",
]


class Fault(StrEnum):
    """What goes wrong with one request."""

    #: the vendor asks to slow down; nothing is applied
    THROTTLED = "throttled"
    #: the vendor's own failure (5xx); nothing is applied
    FAILED = "failed"
    #: the connection is cut before anything is applied
    CUT = "cut"
    #: applied, but the answer never comes
    LOST = "lost"


# --- a source ---------------------------------------------------------------------------------------------------

#: when the payload files arrive
ARRIVED = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)

_TYPES = {".json": "application/json", ".form": "application/x-www-form-urlencoded"}


def request_of(path: Path) -> RawRequest:
    """A payload file as a request: ``.json`` and ``.form`` are POSTed, ``.query`` is the query string of a GET."""
    content = path.read_bytes()
    if path.suffix == ".query":
        return RawRequest(method="GET", query=content.strip(), received_at=ARRIVED)
    headers = (("content-type", _TYPES.get(path.suffix, "application/octet-stream")),)
    return RawRequest(method="POST", headers=headers, body=content, received_at=ARRIVED)


def payloads_of(module_file: str) -> Path:
    """The payload folder of the plugin whose ``conformance.py`` is ``module_file``.

    ``tests/payloads`` beside the package in a checkout, ``payloads`` inside the package where a wheel carries it.
    """
    package = Path(module_file).parent
    beside = package.parent / "tests" / "payloads"
    return beside if beside.is_dir() else package / "payloads"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStage:
    """The vendor's sandbox with a past: what it sent, and what its own log must tell of the same period."""

    #: set to ask the sandbox
    channel: ChannelConfig
    http: httpx.AsyncClient
    #: every webhook of the period, as the vendor sends them
    deliveries: Sequence[RawRequest]
    since: datetime
    until: datetime
    #: ids of the employees whom the vendor knows (`ListsEmployees`)
    staff_ids: frozenset[str] = frozenset()
    #: the same channel with a key that the vendor refuses; None if it has no key
    refused: ChannelConfig | None = None
    #: for `SendsMessages`: one that can go out, what went out so far as texts, and trouble with the next one
    outgoing: Outgoing | None = None
    sent: Callable[[], Sequence[str]] = tuple
    fail_next: Callable[[Fault], None] = lambda _: None
    #: for `SyncsEntities`: what the sandbox itself holds of our records now, ``{"contacts/<id>": name}``
    shared: Callable[[], Mapping[str, str]] | None = None
    #: for `CountsUnanswered`: how many messages wait for each of `staff_ids`, by the sandbox's own count
    unanswered: Callable[[], Mapping[str, int]] | None = None
    #: for `FramesChats`: what the sandbox was asked to frame so far, each opening as a text
    framed: Callable[[], Sequence[str]] | None = None
    #: for `SubscribesWebhooks`: where the sandbox sends its webhooks now, "" = nowhere, as it begins; and what lets it
    #: send them to another system
    subscription: Callable[[], str] | None = None
    subscribe_other: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOutfit:
    """A source and what the kit needs to try it."""

    source: Source
    #: holds at least one ``EVENT__VARIANT.json``, ``.form`` or ``.query`` for each of ``source.events``
    payloads: Path
    #: of the channel, as an administrator would enter them
    settings: Mapping[str, Any] = field(default_factory=dict)
    region: str = "UA"
    time_zone: str = "Europe/Kyiv"
    #: how a payload file travels, if not as `request_of` says (an event named in the address, a signature)
    to_request: Callable[[Path], RawRequest] = request_of
    #: payload files that the source must refuse, with the field that its error names
    refused: Mapping[str, str] = field(default_factory=dict)
    #: a request that `Source.verify` must refuse; None if the vendor signs nothing
    forged: Callable[[RawRequest], RawRequest] | None = None
    #: questions of `AnswersForwarding`, by name, as the vendor asks them
    questions: Mapping[str, RawRequest] = field(default_factory=dict)
    #: payload files to whose request the response owes data of the client (`hub.messenger.OwesReply`), no others
    owed: frozenset[str] = frozenset()
    #: serves the sandbox, for what the source asks of its vendor
    open: Callable[[], AbstractAsyncContextManager[SourceStage]] | None = None


# --- a rule -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutfit:
    """A rule and the settings to try it with, as a policy would write them."""

    rule: Rule
    settings: Sequence[Mapping[str, Any]] = ({},)


# --- a CRM ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One record as the sandbox itself holds it; deleted ones are not told."""

    ref: RecordRef
    #: the name; of tasks, notes and call records the text ("" where the vendor keeps none)
    name: str = ""
    #: in any spelling
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    responsible: UserId | None = None
    #: False: a deal in a final stage, a completed task
    is_open: bool = True
    #: what a task, note or call record hangs on
    on: RecordRef | None = None
    #: of a deal
    contact_ids: tuple[str, ...] = ()
    price: float | None = None
    stage_id: str = ""
    #: of a call record: the telephony's id of the call, if the vendor keeps it
    uniq: str = ""


#: what people may do in a CRM, by the name of the method of `CrmStage`; "find_by_search": search has an index
DEEDS = frozenset(
    {
        "create_contact",
        "create_deal",
        "create_task",
        "rename",
        "give",
        "delete",
        "merge",
        "close",
        "complete",
    }
)


class CrmStage(Protocol):
    """One account in the plugin's sandbox, served over loopback: ordered and looked at from outside.

    Methods are called from the kit's thread while the sandbox serves in its own; they are synchronous and quick.
    People's deeds follow the CRM's own rules, with the times, events and webhooks that they have in the real one.
    """

    #: what people can do here, out of `DEEDS`
    deeds: frozenset[str]
    #: kinds of record that tasks, notes and call records may hang on, by kind of action
    hosts: Mapping[str, tuple[RecordKind, ...]]

    def reset(self) -> None:
        """An empty account without faults, its limit off, its index without lag, its credentials good."""
        ...

    def settings(self, *, page_size: int | None = None) -> BaseModel:
        """The connection's settings as entered; with lists read in pages of ``page_size`` if that can be set."""
        ...

    async def connect(self, context: ConnectionContext) -> BaseModel:
        """Do what connecting takes besides settings (an OAuth exchange into ``context.state``); the settings then."""
        ...

    # --- looking

    def records(self) -> Sequence[Held]:
        """Everything that the account holds, from the sandbox's own store."""
        ...

    def requests(self) -> int:
        """How many requests the vendor was asked since `reset`, token requests included."""
        ...

    # --- trouble

    def fail_next(self, write: Write | None, fault: Fault, count: int = 1) -> None:
        """Order ``fault`` for the next ``count`` requests that write ``write``; None: for the next that reads."""
        ...

    def spoil(self, write: Write) -> Write | None:
        """``write`` with something in it that the vendor refuses; None if nothing of this kind is refused."""
        ...

    def limit(self) -> None:
        """Switch the vendor's limit on, as in production; what was asked before does not count."""
        ...

    def violations(self) -> int:
        """How many requests the limit has refused since `reset`."""
        ...

    def revoke(self) -> None:
        """The vendor takes the access away; `settings` and `connect` give a new one from here on."""
        ...

    def lag_search(self) -> None:
        """From here on what is written is not yet found by the vendor's search, if that can be."""
        ...

    def advance(self, by: timedelta) -> None:
        """Move the vendor's clock."""
        ...

    # --- people at work; each raises if it is not among `deeds`

    def create_contact(self, name: str, phone: str = "") -> RecordRef: ...

    def create_deal(self, name: str, contact: RecordRef | None = None) -> RecordRef: ...

    def create_task(self, text: str, on: RecordRef | None = None) -> RecordRef: ...

    def rename(self, ref: RecordRef, name: str) -> None:
        """Of a contact or deal."""
        ...

    def give(self, ref: RecordRef, user: UserId) -> None:
        """Make ``user`` the responsible of a contact or deal."""
        ...

    def delete(self, ref: RecordRef) -> None: ...

    def merge(self, survivor: RecordRef, loser: RecordRef) -> None:
        """Two contacts into one."""
        ...

    def close(self, deal: RecordRef) -> None:
        """Into a final stage."""
        ...

    def complete(self, task: RecordRef) -> None: ...


@runtime_checkable
class RotatesTokens(Protocol):
    """A stage of a sink whose tokens expire and are renewed."""

    #: after this time since connecting, a request makes the sink renew its tokens; what it has then still works
    #: if the vendor's refresh tokens work once only
    renews_after: timedelta
    #: after this time the access token is dead
    expires_after: timedelta

    async def connect_by_oauth(self, context: ConnectionContext) -> BaseModel:
        """As `CrmStage.connect`, by consent in the browser."""
        ...

    def refreshes(self) -> int:
        """How many times tokens were renewed since `CrmStage.reset`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOutfit:
    """A sink and its vendor's sandbox."""

    sink: Sink
    #: serves the sandbox; called once for many checks, each of which begins with `CrmStage.reset`
    serve: Callable[[], AbstractContextManager[CrmStage]]
    region: str = "UA"


#: what ``OUTFIT`` in a plugin's ``conformance.py`` may be; a tuple if the plugin has several
Outfit: TypeAlias = SourceOutfit | RuleOutfit | SinkOutfit
