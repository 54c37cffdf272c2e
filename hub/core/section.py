"""The sections of a policy, each a table of the TOML file (DESIGN 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field as ModelField
from pydantic import field_validator

from hub.core.outcome import OutcomeSettings, WordList
from hub.core.part import Duration, Part
from hub.core.schedule import zone_of
from hub.core.text import Language, LocalText

__all__ = [
    "Assignment",
    "CallRecords",
    "Channel",
    "ChannelSettings",
    "Classify",
    "Connection",
    "Contacts",
    "Deals",
    "Forwarding",
    "Group",
    "IdentityRules",
    "Messages",
    "NoteKind",
    "Project",
    "Retention",
    "SourceRow",
    "Staff",
    "Timing",
]


class Project(Part):
    """What holds for the whole project."""

    name: str = ""
    #: for numbers typed without a country, ISO 3166
    region: str = ModelField(default="UA", pattern=r"^[A-Z]{2}$")
    #: IANA
    time_zone: str = "Europe/Kyiv"
    #: of the texts that the hub writes into the CRM
    language: Language = "ru"
    #: the name of the company's schedule; "" = always open
    schedule: str = ""
    #: W7
    eight_is_seven: bool | None = ModelField(
        default=None,
        description="11 digits that begin with 8 are read as +7, for finding clients and for sending; the CRM's record "
        "stays as it is. On by itself for the regions RU and KZ. Turn it off if you have clients from Asia.",
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        zone_of(value)
        return value

    @field_validator("region")
    @classmethod
    def _region_has_numbers(cls, value: str) -> str:
        if value not in SUPPORTED_REGIONS:
            raise ValueError(
                f"{value!r} is no country with telephone numbers; write it as UA (ISO 3166; Britain is GB)"
            )
        return value


#: what becomes of a client whose deals are all closed (W5)
Repeat = Literal["notify", "new_deal"]


class Staff(Part):
    """What one employee is on one channel (W11); None = as everywhere."""

    role: Literal["quality", "manager", "head"] | None = None
    receives_new: bool | None = None


class Channel(OutcomeSettings):
    """One channel: who reads it, and what its interactions get where neither matrix nor rule says it (W1, W11)."""

    #: the plugin that reads the channel, and its settings
    source: str = ""
    settings: Mapping[str, Any] = {}
    #: the vendor's id of one of its numbers or accounts, where one hook serves several (W11); "" = all others
    account: str = ""
    #: a client whose deals are all closed turns to us again (W5): the responsible decides, or a new deal is made
    #: as for a new client; None = as ``[messages]`` says
    repeat: Repeat | None = None
    #: that new deal belongs to the client's responsible; None = as ``[messages]`` says
    keep_responsible: bool | None = None
    #: what employees are on this channel, where it is not what they are elsewhere (W4, W11)
    staff: Mapping[str, Staff] = {}


class SourceRow(Part):
    """Where a client turned to: by dialled number, pool, department, channel or form (R11, A13, A16)."""

    number: str = ""
    pool: str = ""
    department: str = ""
    channel: str = ""
    form: str = ""
    #: the employee whom new clients of this number belong to (A13)
    owner: str = ""
    #: fills the attribution when no utm tags came (R11)
    source: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    #: custom fields of a new deal (A16)
    fields: Mapping[str, LocalText] = {}
    tags: tuple[LocalText, ...] = ()


class Connection(Part):
    """One CRM of the project; the first is the main one (C8)."""

    name: str = ModelField(min_length=1)
    plugin: str = ""


class IdentityRules(Part):
    """When records are the same client (J4, J7, A9, X12)."""

    keys: tuple[str, ...] = ("phone", "email")
    #: under which names enquiries tell a further key, besides its own: ``{ "ИНН" = ["inn", "tax_id"] }``
    parameters: Mapping[str, tuple[str, ...]] = {}
    #: ``any`` key is enough, or ``all`` that the enquiry has must match
    join: Literal["any", "all"] = "any"
    #: under ``all``: a key that the enquiry lacks means no match, or is ignored
    absent_key: Literal["no_match", "ignore"] = "no_match"
    #: which of several contacts gets the new work (A9)
    several: Literal["fuller", "newest", "oldest"] = "fuller"
    #: phones and e-mails of a duplicate of the same name are added to the preferred one (A9)
    carry_over: bool = True
    #: numbers of families and office exchanges: they identify nobody (X12)
    shared_numbers: tuple[str, ...] = ()


class Classify(Part):
    """What is no client's business at all."""

    #: internal calls (R6): ``nothing``, or ``card``: onto the contact that holds the number, if there is one
    internal: Literal["nothing", "card"] = "nothing"
    #: client numbers that never reach the CRM (R8)
    private_clients: tuple[str, ...] = ()
    #: numbers whose interactions are dropped; a trailing * stands for any digits
    black_list: tuple[str, ...] = ()
    #: answered calls with less talk than this are dropped
    minimal_talk: Duration = timedelta(0)


class Group(Part):
    """Employees among whom new clients are shared out in turn (J3, W3)."""

    members: tuple[str, ...] = ()
    #: instead of members: everybody of this department, or everybody who receives new clients if both are empty
    department: str = ""
    #: the employee who last talked to the client comes first, without a turn
    sticky: bool = False
    #: employees off shift are passed over
    on_shift_only: bool = True
    #: skills that every turn needs
    skills: tuple[str, ...] = ()
    #: who takes the client when nobody of the group can
    fallback: WordList = ("senior",)


class Assignment(Part):
    """Who gets what (A13, J3, W3)."""

    #: what employees' ``capacity`` counts
    load: Literal["open_deals", "unanswered_chats"] = "open_deals"
    #: an existing client was answered by somebody else: the responsible stays, or the answerer takes over (A13)
    existing_answered: Literal["keep", "answerer"] = "keep"
    #: the group that ``turn`` stands for where nothing else is said; "" = all who receive new clients
    group: str = ""
    groups: Mapping[str, Group] = {}


class Contacts(Part):
    """How contacts are made."""

    #: False: deals only (Z9)
    create: bool = True
    name: LocalText = "{{ client }}"
    tags: tuple[LocalText, ...] = ()
    fields: Mapping[str, LocalText] = {}


class Deals(Part):
    """How deals are made (J5, R7). Pipelines, stages and fields by the CRM's names of them."""

    #: "" = the CRM's main pipeline, its first stage
    pipeline: str = ""
    stage: str = ""
    unsorted: bool = False
    name: LocalText = "{{ client }}"
    fields: Mapping[str, LocalText] = {}
    tags: tuple[LocalText, ...] = ()
    #: a number, or a text that renders to one
    price: float | LocalText | None = None
    #: Z1: made after the call, or as soon as somebody picked up
    at: Literal["end", "pick_up"] = "end"


class NoteKind(Part):
    """A note that rows and rules may ask for; one that renders to nothing is not made."""

    text: LocalText
    #: the CRM folds it, where it can: transcripts, summaries
    is_long: bool = False


class CallRecords(Part):
    """The call record of its own (A6)."""

    on: Literal["contact", "deal", "none"] = "contact"
    text: LocalText = "{{ legs }}\n{{ attribution }}"


class Forwarding(Part):
    """What the telephony gets for an answer before it rings anyone (R2, R3, DESIGN 5)."""

    enabled: bool = True
    #: whose the caller is, the first that is known
    order: tuple[Literal["deal", "contact", "last_talked"], ...] = ("deal", "contact", "last_talked")
    #: an employee who is off shift or absent is not rung, their deputy is
    working_hours: bool = True
    deputies: bool = True
    #: a caller whom the directory does not know may be asked of the CRM itself, within the budget
    ask_crm: bool = False
    budget: Duration = timedelta(milliseconds=300)
    #: what employees may enter themselves as the place where they are rung: only what the policy knows as theirs, or
    #: any number; administrators and heads enter what they like
    own_destinations: Literal["known", "any"] = "known"


class Timing(Part):
    """How long the hub waits for what may still come."""

    #: a missed or transferred call may still be taken up by somebody (DESIGN 2.3)
    settle: Duration = timedelta(seconds=3)
    #: a request whose answer was lost may still be applied (DESIGN 2, in doubt)
    doubt_wait: Duration = timedelta(seconds=30)
    #: how long the CRM has for the answer to one request
    request_timeout: Duration = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """What holds on one channel (W11)."""

    repeat: Repeat
    keep_responsible: bool
    is_unsorted: bool

    @classmethod
    def of(cls, channel: Channel, messages: Messages, deals: Deals) -> ChannelSettings:
        """The channel's own word first."""
        return cls(
            repeat=channel.repeat or messages.repeat,
            keep_responsible=messages.keep_responsible
            if channel.keep_responsible is None
            else channel.keep_responsible,
            is_unsorted=deals.unsorted if channel.unsorted is None else channel.unsorted,
        )


class Messages(Part):
    """Chats and messengers; all of it holds for every channel of the project (W11)."""

    #: W5, where the channel does not say it
    repeat: Repeat = "notify"
    keep_responsible: bool = False
    #: the switch of W6: a name of the policy's ``tasks``; an unanswered message makes such a task; "" = none
    task: str = ""
    #: how long a message may wait before it makes the task, in the clock of the task's kind
    task_after: Duration = timedelta(0)
    #: amo.sh links in what the CRM's Salesbot sends through the hub are replaced by where they lead (W8)
    expand_links: bool = ModelField(
        default=False,
        description="Links that amoCRM's Salesbot shortened to amo.sh are sent as what they lead to. Automations that "
        "react to a click on such a link stop working then. Without it WhatsApp shows no preview of such links.",
    )


class Retention(Part):
    """How long personal data is kept (H7)."""

    raw: Duration = timedelta(days=90)
    interactions: Duration = timedelta(days=3 * 365)
