"""What a messenger or chat plugin may do besides being a `hub.ports.Source`: owe replies, send, know our records.

Each ability is a Protocol of its own, asked for by ``isinstance``: a source that has the methods has the ability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

import httpx

from hub.core.interaction import Identity
from hub.core.outgoing import Outgoing
from hub.core.phone import Phone
from hub.core.records import EmployeeId, RecordRef
from hub.ports import ChannelConfig, RawRequest, Reply

__all__ = [
    "CountsUnanswered",
    "Entities",
    "FramesChats",
    "KnownClient",
    "KnownDeal",
    "KnownEmployee",
    "OwedQuestion",
    "OwesReply",
    "SenderAccount",
    "SendsMessages",
    "Sent",
    "SharedContact",
    "SharedDeal",
    "SharedPipeline",
    "SharedStage",
    "SharedUser",
    "SubscribesWebhooks",
    "Subscription",
    "SyncsEntities",
]


# --- replies that a webhook's own response owes -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedQuestion:
    """Whom a webhook is about whose response has to tell something."""

    #: the vendor's event, for the plugin itself
    kind: str
    #: by what the client can be found; may be empty if `client_id` is known
    client: Identity = Identity()
    #: the hub's own id of the client, where the vendor gives it back to us
    client_id: str = ""
    #: the reply names the client to the vendor: a client whom nobody knows yet is given an id (DESIGN 7)
    needs_client_id: bool = False
    #: the reply names a deal of the client: without an open one an id for it is promised
    needs_deal: bool = False
    #: how long the answer may wait until the CRM has the contact, with `needs_deal` an open deal; usually not
    wait: timedelta = timedelta(0)
    #: what the reply needs of the question, for the plugin itself
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: what the vendor hears if the client cannot be looked up in time: its own "received", which tells nothing
    otherwise: Reply = Reply()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEmployee:
    """An employee in an answer: the names by which people and vendors know them."""

    id: EmployeeId
    name: str = ""
    email: str = ""
    #: the channel vendors' own ids, the policy's order
    staff_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDeal:
    """An open deal of the client."""

    #: under which `SyncsEntities` tells the vendor of it
    shared_id: str
    ref: RecordRef
    connection: str
    name: str = ""
    responsible: KnownEmployee | None = None
    pipeline: str = ""
    stage: str = ""
    price: float | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient:
    """What the local directory knows of a client at this moment, of the first CRM that knows them (C8).

    A client whom no CRM knows has no `contact`; everything else may still be filled.
    """

    #: the hub's id, under which `SyncsEntities` tells the vendor of them; "" unless it was asked for
    client_id: str = ""
    name: str = ""
    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    connection: str = ""
    contact: RecordRef | None = None
    #: of the open deal, else of the contact
    responsible: KnownEmployee | None = None
    #: most recently changed first
    open_deals: tuple[KnownDeal, ...] = ()
    #: the card in the CRM, else the client's page in the hub; "" where neither has an address
    card_url: str = ""
    #: the id under which a deal that the reply promises is going to be told; "" where one is open or none is needed
    promised_deal_id: str = ""


@runtime_checkable
class OwesReply(Protocol):
    """A source whose vendor waits for data in the response to a webhook.

    Both methods are synchronous and take microseconds; the request is on disk before they are asked. Whatever goes
    wrong, the vendor hears `OwedQuestion.otherwise`, by default the plain 200 that other webhooks get.
    """

    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        """Whom ``request`` asks about, None if its response owes nothing; total on any bytes."""
        ...

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        """Say what is known of the client in the vendor's form; status 200."""
        ...


# --- sending ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderAccount:
    """One number or account of the company from which messages go out."""

    #: the vendor's id
    id: str
    #: the kinds of messenger whose dialogues it serves
    chat_kinds: tuple[str, ...]
    #: the number or login that clients see
    address: str = ""
    name: str = ""
    is_active: bool = True
    #: the vendor's word for its state
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The vendor took the message."""

    #: the vendor's id; "" where it only said that it has this message already
    external_id: str = ""
    #: the vendor's id of the dialogue; "" if it told none
    chat_id: str = ""


@runtime_checkable
class SendsMessages(Protocol):
    """A source through which messages go out (W9)."""

    def repeat_window(self, channel: ChannelConfig) -> timedelta:
        """For how long after the first attempt the vendor recognises a repetition by `Outgoing.id`; 0 = not at all.

        After it a message whose answer was lost is looked for among the messages that the vendor told of, and left
        to a person if it is not there: never sent twice.
        """
        ...

    def check(self, message: Outgoing, channel: ChannelConfig) -> None:
        """Refuse what the vendor would refuse anyway (too long, no such messenger): Rejected names the field."""
        ...

    async def send(self, channel: ChannelConfig, http: httpx.AsyncClient, message: Outgoing) -> Sent:
        """One attempt, with `Outgoing.id` as the vendor's key against doubles; a repetition that it knows is success.

        Raises Throttled, Unavailable (in doubt, if ``maybe_applied``), NeedsCredentials, Rejected.
        """
        ...

    async def list_accounts(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[SenderAccount]:
        """What messages can go out on. Raises VendorError."""
        ...


# --- our records at the vendor's --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedUser:
    """An employee whom the vendor should know under ``id``."""

    id: str
    name: str
    phone: Phone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedContact:
    """A client whom the vendor should know under the hub's client id."""

    id: str
    name: str
    #: a `SharedUser`'s id
    responsible: str
    phones: tuple[Phone, ...] = ()
    handles: tuple[tuple[str, str], ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedDeal:
    """A deal that the vendor should know."""

    id: str
    name: str
    #: a `SharedUser`'s id
    responsible: str
    #: `SharedContact` ids
    contacts: tuple[str, ...]
    url: str = ""
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStage:
    """A stage of a `SharedPipeline`."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPipeline:
    """A pipeline that can be chosen in the vendor's cabinet."""

    id: str
    name: str
    stages: tuple[SharedStage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """What changed since the vendor was last told; of `removed`, the ids by kind."""

    users: tuple[SharedUser, ...] = ()
    contacts: tuple[SharedContact, ...] = ()
    deals: tuple[SharedDeal, ...] = ()
    #: all of them, or none if none changed
    pipelines: tuple[SharedPipeline, ...] = ()
    removed_users: tuple[str, ...] = ()
    removed_contacts: tuple[str, ...] = ()
    removed_deals: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == Entities()


@runtime_checkable
class SyncsEntities(Protocol):
    """A source whose vendor keeps a copy of our users, contacts, deals and pipelines."""

    def shares(self, channel: ChannelConfig) -> frozenset[str]:
        """Which of "users", "contacts", "deals", "pipelines" the channel's settings tell the vendor; () for nothing."""
        ...

    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        """Tell the vendor, users first; putting and removing are idempotent.

        Answers with the entities that the vendor refused for themselves, ``{"contacts/<id>": why}``: they are told
        again when they change. Raises the VendorError that ended the whole; what was told before stays told.
        """
        ...


@runtime_checkable
class CountsUnanswered(Protocol):
    """A source whose vendor counts each employee's unanswered messages; nobody tells when it goes to zero (W6)."""

    async def unanswered(
        self, channel: ChannelConfig, http: httpx.AsyncClient, staff_ids: Sequence[str]
    ) -> Mapping[str, int]:
        """The counters of those of ``staff_ids`` whom the vendor knows. Raises VendorError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Where the vendor sends its webhooks."""

    #: to us; to another system; nowhere, since the vendor or the plugin refused
    state: Literal["ours", "elsewhere", "refused"]
    #: it was not so before
    is_new: bool = False
    #: for the other states, one sentence
    problem: str = ""


@runtime_checkable
class SubscribesWebhooks(Protocol):
    """A source whose webhooks are ordered through the vendor's API instead of in its cabinet."""

    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        """Let the vendor send to ``hook_url``, unless somebody else's address stands there; asked again and again.

        Raises VendorError.
        """
        ...


@runtime_checkable
class FramesChats(Protocol):
    """A source whose vendor gives an address for a page with the client's dialogue, to be framed in a card."""

    async def frame_url(
        self, channel: ChannelConfig, http: httpx.AsyncClient, *, staff_id: str, staff_name: str, client: Identity
    ) -> str:
        """The address for this employee and this client, for one opening. Raises VendorError."""
        ...
