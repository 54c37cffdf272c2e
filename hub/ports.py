"""What a plugin implements: `Source` for a channel, `Sink` for a CRM, `Rule` for a decision of its own.

Optional abilities (`AnswersForwarding` ...) are Protocols of their own: a plugin that has the method has the ability.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import httpx
from pydantic import BaseModel

from hub.clock import Clock
from hub.core.chat import ChatFragment, ClientChanged
from hub.core.interaction import Chat, Form, Identity, Message
from hub.core.merge import CallFragment
from hub.core.outgoing import Receipt
from hub.core.phone import Phone
from hub.core.plan import Action, CreateContact, StepKey
from hub.core.records import Catalogue, Company, Contact, Deal, RecordKind, RecordRef, Task, UserId
from hub.core.slots import by_slots

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.outcome import Outcome

__all__ = [
    "AnswersForwarding",
    "Applied",
    "Changes",
    "ChannelConfig",
    "ConnectionContext",
    "ConnectionState",
    "Done",
    "ForwardingAnswer",
    "ForwardingQuestion",
    "HasOAuth",
    "HearsDisconnect",
    "Ignored",
    "ListsEmployees",
    "ListsInteractions",
    "OAuthGrant",
    "Pace",
    "Parsed",
    "RawRequest",
    "Refused",
    "Reply",
    "Rule",
    "SetupHint",
    "Sink",
    "SinkCapabilities",
    "SinkSession",
    "Source",
    "SourceEmployee",
    "Suggested",
    "Write",
]


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """A request as it was stored; header names are lower case, secrets are removed from headers."""

    method: str
    #: the query string, undecoded
    query: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    received_at: datetime

    def header(self, name: str) -> str:
        """The first header called ``name`` (any case), "" if there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """One channel of one project: which source reads it and with which settings."""

    project: str
    name: str
    source: str
    #: an instance of the source's ``settings_model``
    settings: BaseModel
    #: for numbers typed without a country, ISO 3166
    region: str
    #: for times told without a zone, IANA
    time_zone: str
    eight_is_seven: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The request was understood and is deliberately not an interaction."""

    kind: Literal["ignored"] = "ignored"
    reason: str


#: what `Source.parse` may return; the hub gives ids and clients. A Chat is told whole, else in fragments.
Parsed: TypeAlias = CallFragment | ChatFragment | ClientChanged | Form | Chat | Message | Receipt | Ignored


@runtime_checkable
class Source(Protocol):
    """A channel vendor."""

    name: str
    #: the channel's settings, each field with a title and description for the set-up page
    settings_model: type[BaseModel]
    #: every event that `parse` understands, as named in the plugin's payload files
    events: tuple[str, ...]

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """Check a signature beyond the address's secret; raises AccessError. ``Authorization`` is never kept (H8)."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """What ``request`` tells, possibly of several interactions; total on any bytes.

        Raises PayloadError, naming the field, if it cannot be read; nothing else.
        """

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """What the administrator copies into the vendor's cabinet, in order (H12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupHint:
    """One thing to enter in a vendor's cabinet: where it goes, and the text to copy ("" if only advice)."""

    where: str
    value: str = ""
    note: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingQuestion:
    """The telephony asks where to send a caller (R2)."""

    #: None for a hidden or unreadable number
    caller: Phone | None
    #: the vendor's id of this very question: asked twice, it gets the same answer; "" if it has none
    uuid: str = ""
    call_id: str = ""
    line: Phone | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: what the reply form needs of the question (a JSON-RPC id)
    reply_to: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingAnswer:
    """Where to send the caller; ``destination`` "" lets the telephony's scheme go on."""

    destination: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an HTTP request gets back."""

    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


@runtime_checkable
class AnswersForwarding(Protocol):
    """A source whose vendor asks before it rings (R2). Both methods are synchronous and take microseconds."""

    def forwarding_question(self, request: RawRequest, channel: ChannelConfig) -> ForwardingQuestion:
        """Read the question; total: what cannot be read is a question without a caller."""
        ...

    def forwarding_reply(self, question: ForwardingQuestion, answer: ForwardingAnswer, channel: ChannelConfig) -> Reply:
        """Say it in the form that the channel is set to; always status 200."""
        ...


@runtime_checkable
class ListsInteractions(Protocol):
    """A source whose vendor keeps a log that can be read afterwards (X7)."""

    def list_interactions(
        self, channel: ChannelConfig, http: httpx.AsyncClient, since: datetime, until: datetime
    ) -> AsyncIterator[Parsed]:
        """Everything that the vendor knows of the period, finished interactions only. Raises VendorError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEmployee:
    """An employee as the channel's vendor knows them, for matching with CRM users (H12)."""

    staff_id: str
    name: str = ""
    email: str = ""
    extension: str = ""
    #: where forwarding may send calls for them, the preferred first: SIP logins or international digits
    destinations: tuple[str, ...] = ()
    #: further numbers by which they are recognised
    numbers: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()


@runtime_checkable
class ListsEmployees(Protocol):
    """A source that can tell who works there."""

    async def list_employees(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[SourceEmployee]:
        """All employees of the vendor's project. Raises VendorError."""
        ...


# --- what goes out ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast one scope may be asked: at most ``requests`` begin in any sliding ``per``; ``source`` says so."""

    requests: int
    per: timedelta = timedelta(seconds=1)
    #: at most so many on their way at once, for vendors who limit concurrency; None = no such limit
    in_flight: int | None = None
    #: what shares the limit: the connected account, all of one integration, or one host; which, if there are several
    scope: Literal["account", "integration", "host"] = "account"
    shared_by: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCapabilities:
    """What a CRM can do; the hub asks these, never the sink's name."""

    #: kinds of action that `SinkSession.apply` takes (`Action.kind`)
    actions: frozenset[str]
    #: the best number of items in one request, by kind of action; 1 where the vendor has no batch
    batch_sizes: Mapping[str, int] = field(default_factory=dict)
    pace: Pace
    #: a contact and its deal can be made in one request: `Write.with_contact` is understood
    has_combined_create: bool = False
    has_companies: bool = True
    has_unsorted: bool = False
    can_merge: bool = False
    can_take_back: bool = False  # `UpdateContact.remove_phones` ... are understood (X12)
    #: kinds of action that the vendor itself does once however often it is asked; `find_done` need not find them
    deduplicated: frozenset[str] = frozenset()
    #: record kinds of which `barrier` can prove that none was added since a moment
    barrier_kinds: frozenset[RecordKind] = frozenset()
    #: where polls cost a daily budget: no oftener than this while the CRM's webhooks come, and while they do not
    poll_every: tuple[timedelta, timedelta] = (timedelta(0), timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One step, resolved and ready to be sent: the action, with the CRM's ids for what the action names."""

    key: StepKey
    action: Action
    #: what finds the record again after a lost answer: short, unique, goes to the CRM's "Hub ID" field
    hub_id: str
    #: ids of the records that the action refers to, by the action's attribute name (``contact``, ``deal``, ``on``)
    refs: Mapping[str, RecordRef] = field(default_factory=dict)
    #: the CRM's user for the action's responsible or assignee; None = let the CRM choose
    user: UserId | None = None
    #: for several employees (`Notify`)
    users: tuple[UserId, ...] = ()
    pipeline_id: str | None = None
    stage_id: str | None = None
    task_type_id: str | None = None
    #: custom fields by the CRM's field id
    fields: Mapping[str, str] = field(default_factory=dict)
    #: a contact that is created in the same request (`SinkCapabilities.has_combined_create`)
    with_contact: Write | None = None
    #: when the request was first sent; None before
    sent_at: datetime | None = None

    @property
    def new_contact(self) -> CreateContact | None:
        """The action of `with_contact`."""
        found = self.with_contact.action if self.with_contact else None
        return found if isinstance(found, CreateContact) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The CRM did it; ``record`` is what was created or changed (None for popups)."""

    record: RecordRef | None = None
    #: the CRM joined the data into a record that existed (amoCRM's duplicate control)
    is_merged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The CRM refused this item alone; the others of the request stand."""

    text: str
    #: the record or user it refers to is gone or deactivated: decide again instead of giving up
    is_stale: bool = False
    is_user_stale: bool = False


#: what became of one item; a key missing from the answer is in doubt
Applied: TypeAlias = Done | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Records as they are now in the CRM, and what is gone; the directory folds them in (H6)."""

    contacts: tuple[Contact, ...] = ()
    companies: tuple[Company, ...] = ()
    deals: tuple[Deal, ...] = ()
    tasks: tuple[Task, ...] = ()
    deleted: tuple[RecordRef, ...] = ()
    #: changed, but not told how: read them again (`SinkSession.read`)
    touched: tuple[RecordRef, ...] = ()
    #: where the feed goes on, opaque; "" if the feed has no position
    cursor: str = ""
    #: the moment up to which the feed is now complete
    as_of: datetime | None = None
    #: rough share of an import that is done, 0 to 1
    progress: float | None = None


class ConnectionState(Protocol):
    """A connection's small durable state (tokens, cursors), encrypted at rest (H8)."""

    async def load(self) -> tuple[dict[str, Any], int]:
        """The state and its version; ({}, 0) at first."""
        ...

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        """Store ``value`` durably; the new version. Raises Stale if the version is no longer the expected one."""
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Only one holder of ``name`` for this connection, over all processes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What a sink gets to make a connection: everything else it has itself."""

    project: str
    name: str
    #: an instance of the sink's ``settings_model``
    settings: BaseModel
    #: paced, counted and timed by the hub; the sink adds its own auth per request
    http: httpx.AsyncClient
    state: ConnectionState
    clock: Clock
    region: str
    eight_is_seven: bool = False
    public_url: str = ""  # the hub's own public address, without a trailing slash ("" if not set)
    webhook_url: str = ""  # where this CRM's webhooks for the connection arrive ("" if not set)
    #: how far ``clock`` is ahead of the CRM's, by its answers so far: "from now on" is so much earlier, never later
    lead: Callable[[], timedelta] = timedelta


class SinkSession(Protocol):
    """An open connection to one CRM account. Methods raise the VendorError that says what follows."""

    async def close(self) -> None:
        """Release what `Sink.open` took; never raises."""
        ...

    async def connect(self) -> Catalogue:
        """Check the account, make what the hub needs in it (the Hub ID field, webhooks), tell what it offers."""
        ...

    async def catalogue(self) -> Catalogue:
        """Users, pipelines, fields and task types as they are now."""
        ...

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """Send ``writes`` (all of one `Action.kind`, at most its batch size) in ONE request.

        Returns what became of each; a `Write.with_contact` is answered under its own key too. Raises `Rejected`
        with the offending keys if the vendor refused the whole request because of them, `Unavailable` when the
        outcome is unknown, `Throttled`, `NeedsCredentials`, `Banned`.
        """
        ...

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """Which of ``writes`` the CRM already holds (X5): a missing key was not applied, as far as can be seen now.

        Reads lists, newest first, back to the earliest ``sent_at``; not search, which lags.
        """
        ...

    async def barrier(self, kinds: Collection[RecordKind], since: datetime) -> Changes:
        """Every record of ``kinds`` that changed since ``since``: absence from it is proof (DESIGN 2)."""
        ...

    def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """What changed since ``cursor`` ("" = from now on), page by page; ends when there is no more."""
        ...

    def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """The whole account, open deals with their contacts first; resumes from ``cursor`` ("" = start)."""
        ...

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """The named records as they are now; those that do not exist come back as deleted."""
        ...

    async def search(self, identity: Identity) -> Changes:
        """The client's records by the vendor's search, for when the directory cannot be relied on."""
        ...

    def record_url(self, ref: RecordRef) -> str:
        """The address of the record's card for people."""
        ...


@runtime_checkable
class Sink(Protocol):
    """A CRM."""

    name: str
    #: the connection's settings, each field with a title and description for the set-up page
    settings_model: type[BaseModel]

    def capabilities(self, settings: BaseModel) -> SinkCapabilities:
        """What this CRM can do with these settings."""
        ...

    def open(self, context: ConnectionContext) -> SinkSession:
        """A session for one account; does no I/O yet."""
        ...

    def parse_webhook(self, request: RawRequest, context: ConnectionContext) -> Changes:
        """What the CRM's own webhook tells of its records. Raises PayloadError; AccessError for another account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthGrant:
    """What came back from the vendor's consent page."""

    code: str
    redirect_uri: str
    #: every parameter of the redirect, for the vendor's own checks
    parameters: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class HasOAuth(Protocol):
    """A sink that is connected by OAuth in the browser (H12)."""

    def consent_url(self, settings: BaseModel, redirect_uri: str, state: str) -> str:
        """Where to send the administrator."""
        ...

    async def exchange(self, context: ConnectionContext, grant: OAuthGrant) -> BaseModel:
        """Trade the code for tokens, store them in ``context.state``; the settings completed by what was learnt.

        Raises AccessError if the redirect is not the vendor's (foreign host), NeedsCredentials if refused.
        """
        ...


@runtime_checkable
class HearsDisconnect(Protocol):
    """A sink whose vendor tells when the account was disconnected on its side."""

    def is_disconnected(self, settings: BaseModel, parameters: Mapping[str, str]) -> bool:
        """True if ``parameters`` are the vendor's own word, by its signature, about the account of ``settings``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """A rule's answer: the changed outcome and why."""

    outcome: Outcome
    reason: str


@runtime_checkable
class Rule(Protocol):
    """A decision of its own: sees the facts, may change the outcome of the matrix, always with a reason."""

    name: str
    #: what the policy may set for it
    settings_model: ClassVar[type[BaseModel]]

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        """The changed outcome, or None to leave it; pure and total."""
        ...
