"""The registry of what conditions may ask about: every field with its type and one line of meaning (A8, J2)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = ["FEW_VALUES", "FIELDS", "OPEN_FIELDS", "Field", "FieldType", "find_field", "near_names"]

FieldType = Literal["text", "flag", "number", "list", "moment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a condition can look at."""

    name: str
    type: FieldType
    meaning: str
    read: Callable[[Facts], Any]
    #: where it lies in `Facts`; "" if it is no attribute of it
    path: str = ""
    #: below an open prefix: a text that may well be a number
    is_open: bool = False


def _fields(type: FieldType, **meanings: str) -> dict[str, Field]:
    found = {}
    for key, meaning in meanings.items():
        name = key.replace("__", ".")
        path = _PATHS.get(name, name)
        read = _READ.get(name) or attrgetter(path)
        found[name] = Field(name=name, type=type, meaning=meaning, read=read, path="" if name in _READ else path)
    return found


def _messages(facts: Facts) -> int:
    said = facts.interaction
    return sum(line.is_from_client for line in said.messages) if said.kind == "chat" else int(said.kind == "message")


def _days_since(at: datetime | None, facts: Facts) -> float | None:
    return None if at is None else (facts.now - at).total_seconds() / 86400


#: fields that no attribute of `Facts` holds
_READ: Mapping[str, Callable[[Facts], Any]] = {
    "company.name": lambda facts: facts.company.name if facts.company else "",
    "company.tags": lambda facts: facts.company.tags if facts.company else (),
    "deal.age_days": lambda facts: _days_since(facts.deal.created_at if facts.deal else None, facts),
    "last_talked_days": lambda facts: _days_since(facts.snapshot.history.last_talked_at, facts),
    "has_namesake": lambda facts: bool(facts.client.namesakes),
    "duplicates": lambda facts: len(facts.client.duplicates),
    "open_tasks": lambda facts: len(facts.open_tasks),
    "messages": _messages,
    "messengers": lambda facts: tuple(kind for kind, _ in facts.interaction.client.handles),
}
#: where a field lies in `Facts`, if not under its own name
_PATHS = {
    **{
        name: f"attribution.{name}"
        for name in (
            "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term",
            "ga_client_id", "landing_page", "referrer", "ip", "pool",
        )
    },
    "came_from": "attribution.source",
    "location.country": "attribution.country",
    "location.region": "attribution.region",
    "location.city": "attribution.city",
    "closed_deals": "client.closed_deals",
    "moment": "now",
    "deal.stage": "deal_stage",
    "deal.pipeline": "deal_pipeline",
    "deal.name": "deal_name",
    "deal.tags": "deal_tags",
    "contact.name": "contact_name",
    "contact.tags": "contact_tags",
}  # fmt: skip

#: every field, by the name that policies use
FIELDS: Mapping[str, Field] = {
    **_fields(
        "text",
        kind="call, form, chat or message",
        channel="the channel's name in the policy",
        source="the plugin that reads the channel",
        direction="inbound or outbound; a callback through the site's form is inbound (A17)",
        disposition="how a call ended: answered, missed, busy, voicemail, failed, client_missed, pending",
        line="the company's number that the client dialled, or that was shown to them",
        department="the department that the telephony or chat names",
        scheme="the telephony's forwarding scheme",
        phone="the client's first number",
        country="the country of the client's first number, ISO 3166",
        email="the client's first e-mail",
        client_name="the client's name as the channel tells it",
        utm_source="utm tag, empty if none came",
        utm_medium="utm tag",
        utm_campaign="utm tag",
        utm_content="utm tag",
        utm_term="utm tag",
        ga_client_id="Google Analytics' client id",
        landing_page="the page on which the visit began",
        referrer="the page that sent the client",
        ip="the client's network address",
        location__country="the country where the channel places the client, ISO 3166 (J2)",
        location__region="the region, as the channel writes it",
        location__city="the city, as the channel writes it",
        pool="the pool of substitution numbers",
        came_from="the source: told by the channel, or by the policy's table of numbers (R11)",
        form_name="the form's name (J8)",
        page="the page of the form or chat (J8)",
        text="the form's or message's text; of a chat what the client wrote",
        summary="what the channel's analysis said of the call",
        answered_by="id of the employee who talked last to the client (answered by)",
        caller="id of the employee who called out",
        employee="id of the employee who acted: who answered, else who called",
        answered_at="the number or login at which the call was answered",
        dialled_owner="id of the employee whose number was dialled",
        responsible="id of the responsible: the open deal's, else the contact's, else the company's",
        deal_responsible="id of the open deal's responsible",
        contact_responsible="id of the contact's responsible, else the company's",
        last_talked="id of the employee who talked to the client before",
        deal__stage="name of the open deal's stage",
        deal__pipeline="name of the open deal's pipeline",
        deal__name="name of the open deal",
        contact__name="the contact's name in the CRM",
        company__name="the company's name in the CRM",
        connection="the CRM connection's name",
        repeat="the channel's repeat policy: notify or new_deal (W5)",
        account="the vendor's id of our number or account that the client wrote to",
    ),
    **_fields(
        "flag",
        is_answered="an employee talked to the client",
        is_missed="inbound call or chat, and no employee was reached (voicemail included)",
        is_voicemail="the client was sent to voicemail",
        is_client_missed="a callback whose client did not pick up (A17)",
        is_callback="came through the callback form",
        is_reached="the client was reached: a talk in either direction, an answered chat, a message of ours",
        is_automatic="written by a bot or the CRM, not by a person",
        is_unsorted="a new deal of the channel goes to the CRM's inbox, to whoever answers first (W2)",
        is_unclaimed="the client's open deal waits there: nobody has answered yet (W2)",
        keep_responsible="a returning client's new deal goes to their responsible (W5)",
        may_write="who wrote or called may write to this client by their role; true if nobody of us did (W4)",
        is_transferred="handed over between employees",
        is_internal="both sides are employees (R6)",
        is_recovered="found in the channel's own log, its webhook never came (X7)",
        is_anonymous="nothing identifies the client (hidden number)",
        is_short="answered, but shorter than the policy's minimum",
        has_recording="there is something to listen to",
        at_unknown_destination="answered or called at a number or login tied to no employee (Z2)",
        by_responsible="who acted is the responsible of the open deal, else of the contact",
        is_new_client="no contact or company of the CRM matches",
        has_contact="the CRM has a contact of the client",
        has_company="the CRM has a company of the client",
        has_namesake="a contact shares nothing with the client but the name, which is a key (J7)",
        has_open_deal="the client has an open deal",
        had_deals="the client has a closed deal",
        has_open_call_back="a call-back task is open on contact or deal (A3)",
        has_open_task="an ordinary task is open on contact or deal (A3)",
        creates_contacts="the policy makes contacts (Z9)",
        is_first_outgoing="this employee never reached the client by an outgoing call before (A15)",
        is_working_hours="the company is open at the interaction's beginning",
        is_complete="the CRM's records were read completely (no import running)",
    ),
    **_fields(
        "number",
        talk_seconds="seconds of talk",
        waiting_seconds="seconds until somebody answered, or the caller gave up",
        open_deals="how many open deals the client has",
        closed_deals="how many closed deals the client has",
        duplicates="how many further contacts of the client the CRM has (A9)",
        open_tasks="how many open tasks the client has",
        messages="how many lines the client wrote in the chat",
        deal__age_days="days since the open deal was made",
        last_talked_days="days since an employee last talked to the client",
        price="the open deal's price",
        interactions="interactions of this client before",
        rating="the client's rating of the call",
    ),
    **_fields(
        "list",
        phones="all of the client's numbers",
        emails="all of the client's e-mails",
        rung="ids of the employees who were rung, in order",
        deal__tags="tags of the open deal",
        contact__tags="tags of the contact",
        company__tags="tags of the company",
        messengers="kinds of messengers by which the client is known, as whatsapp",
    ),
    **_fields("moment", moment="when the interaction is decided; for time_of_day, weekday and working_hours"),
}

#: fields that take few values in a project's life, so that what conditions say of them is worth remembering
FEW_VALUES = frozenset(
    {name for name, found in FIELDS.items() if found.type == "flag" and found.path}
    | {
        "kind", "channel", "source", "direction", "disposition", "line", "department", "scheme", "came_from", "pool",
        "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "form_name", "country", "deal.pipeline",
        "deal.stage", "answered_by", "caller", "employee", "dialled_owner", "responsible",
        "deal_responsible", "contact_responsible", "last_talked", "connection", "repeat",
    }
)  # fmt: skip

#: prefixes under which any name may follow, and where they are looked up
OPEN_FIELDS: Mapping[str, str] = {
    "parameters": "any parameter of the interaction, as the channel named it",
    "identity": "a further identity field of the client, such as a tax number (J4)",
    "deal.fields": "a custom field of the open deal, by the CRM's name of it",
    "contact.fields": "a custom field of the contact, by the CRM's name of it",
    "company.fields": "a custom field of the company, by the CRM's name of it",
}
_OPEN_PATHS = {
    "parameters": attrgetter("parameters"),
    "identity": attrgetter("interaction.client.fields"),
    "deal.fields": attrgetter("deal_fields"),
    "contact.fields": attrgetter("contact_fields"),
    "company.fields": attrgetter("company_fields"),
}


def find_field(name: str) -> Field | None:
    """The field called ``name``, also below an open prefix as ``parameters.form``; None if there is none."""
    found = FIELDS.get(name)
    if found is not None:
        return found
    for prefix, meaning in OPEN_FIELDS.items():
        if name.startswith(f"{prefix}.") and len(name) > len(prefix) + 1:
            read = _entry(_OPEN_PATHS[prefix], name[len(prefix) + 1 :])
            return Field(name=name, type="text", meaning=meaning, read=read, is_open=True)
    return None


def _entry(table: Callable[[Facts], Mapping[str, str]], key: str) -> Callable[[Facts], str]:
    return lambda facts: table(facts).get(key, "")


def near_names(name: str) -> list[str]:
    """Names of fields that resemble ``name``, the nearest first; all names if none does."""
    names = [*FIELDS, *(f"{prefix}.…" for prefix in OPEN_FIELDS)]
    return difflib.get_close_matches(name, names, n=4, cutoff=0.5) or sorted(names)
