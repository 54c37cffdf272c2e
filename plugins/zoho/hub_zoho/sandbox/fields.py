"""The modules of a fresh organisation and their fields (section 3, official SDK list)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

LEAD_STATUSES = (
    "-None-", "Attempted to Contact", "Contact in Future", "Contacted", "Junk Lead", "Lost Lead", "Not Contacted",
    "Pre-Qualified", "Not Qualified",
)  # fmt: skip
OPEN_STAGES = (
    "Qualification", "Needs Analysis", "Value Proposition", "Identify Decision Makers", "Proposal/Price Quote",
    "Negotiation/Review",
)  # fmt: skip
#: stage -> forecast type
STAGES = dict.fromkeys(OPEN_STAGES, "Open") | {
    "Closed Won": "Closed Won",
    "Closed Lost": "Closed Lost",
    "Closed Lost to Competition": "Closed Lost",
}
PIPELINE = "Standard (Standard)"
TASK_STATUSES = ("Not Started", "Deferred", "In Progress", "Completed", "Waiting for input")
PRIORITIES = ("High", "Highest", "Low", "Lowest", "Normal")
#: relations whose target module another key of the record tells
POLYMORPHIC = "*"


@dataclass(slots=True, kw_only=True)
class Field:
    """One field of a module."""

    api_name: str
    label: str = ""
    type: str = "text"
    length: int = 255
    is_mandatory: bool = False
    is_read_only: bool = False
    choices: tuple[str, ...] = ()
    #: the module that a lookup points to
    target: str = ""
    is_unique: bool = False
    is_custom: bool = False


@dataclass(slots=True)
class Module:
    """One module: its fields by API name, its two faces for people."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)

    def add(self, *fields: Field) -> None:
        for found in fields:
            found.label = found.label or found.api_name.replace("_", " ")
            self.fields[found.api_name] = found


def _of(type_: str, names: str, length: int = 255) -> Iterable[Field]:
    return (Field(api_name=name, type=type_, length=length) for name in names.split())


def _choice(name: str, *choices: str, mandatory: bool = False) -> Field:
    return Field(api_name=name, type="picklist", choices=choices, is_mandatory=mandatory)


def _lookup(name: str, target: str, mandatory: bool = False) -> Field:
    return Field(api_name=name, type="lookup", target=target, is_mandatory=mandatory)


def _system() -> Iterable[Field]:
    yield Field(api_name="id", type="bigint", is_read_only=True)
    yield Field(api_name="Owner", type="ownerlookup")
    for name in ("Created_By", "Modified_By"):
        yield Field(api_name=name, type="ownerlookup", is_read_only=True)
    for name in ("Created_Time", "Modified_Time"):
        yield Field(api_name=name, type="datetime", is_read_only=True)
    yield Field(api_name="Tag", type="text")


def _person() -> Iterable[Field]:
    yield from _of("text", "First_Name", 40)
    yield Field(api_name="Last_Name", length=80, is_mandatory=True)
    yield Field(api_name="Full_Name", is_read_only=True)
    yield from _of("phone", "Phone Mobile Fax", 30)
    yield from _of("email", "Email Secondary_Email", 100)
    yield from _of("textarea", "Description", 32000)
    yield _choice("Lead_Source", "-None-", "Advertisement", "Cold Call", "Chat", "Web Research")


def _relations() -> Iterable[Field]:
    yield _lookup("Who_Id", "Contacts")
    yield _lookup("What_Id", POLYMORPHIC)
    yield Field(api_name="$se_module", type="text", length=40)


def modules(*, has_hub_id: bool) -> dict[str, Module]:
    """A fresh organisation's modules."""
    leads, contacts, accounts = Module("Leads"), Module("Contacts"), Module("Accounts")
    deals, tasks, calls, notes = Module("Deals"), Module("Tasks"), Module("Calls"), Module("Notes")
    found = {one.name: one for one in (leads, contacts, accounts, deals, tasks, calls, notes)}
    for one in found.values():
        one.add(*_system())
    leads.add(*_person(), Field(api_name="Company", length=200, is_mandatory=True))
    leads.add(_choice("Lead_Status", *LEAD_STATUSES), *_of("text", "Designation Street City State Country"))
    leads.add(Field(api_name="Converted__s", type="boolean", is_read_only=True))
    for name, target in (("Account", "Accounts"), ("Contact", "Contacts"), ("Deal", "Deals")):
        leads.add(Field(api_name=f"Converted_{name}", type="lookup", target=target, is_read_only=True))
    leads.add(Field(api_name="Converted_Date_Time", type="datetime", is_read_only=True))
    contacts.add(*_person(), *_of("phone", "Home_Phone Other_Phone Asst_Phone", 30))
    contacts.add(_lookup("Account_Name", "Accounts"), *_of("text", "Title Department"))
    accounts.add(Field(api_name="Account_Name", length=200, is_mandatory=True), *_of("phone", "Phone Fax", 30))
    accounts.add(*_of("website", "Website"), *_of("textarea", "Description", 32000))
    deals.add(Field(api_name="Deal_Name", length=120, is_mandatory=True))
    deals.add(_choice("Stage", *STAGES, mandatory=True), _choice("Pipeline", PIPELINE))
    deals.add(_lookup("Account_Name", "Accounts"), _lookup("Contact_Name", "Contacts"))
    deals.add(Field(api_name="Closing_Date", type="date", is_mandatory=True), Field(api_name="Amount", type="currency"))
    deals.add(*_of("textarea", "Description", 32000))
    tasks.add(Field(api_name="Subject", length=300, is_mandatory=True), Field(api_name="Due_Date", type="date"))
    tasks.add(_choice("Status", *TASK_STATUSES), _choice("Priority", *PRIORITIES), *_relations())
    tasks.add(Field(api_name="Remind_At", type="ALARM"), *_of("textarea", "Description", 32000))
    tasks.add(Field(api_name="Closed_Time", type="datetime", is_read_only=True))
    calls.add(Field(api_name="Subject", length=300), *_relations(), *_of("textarea", "Description", 32000))
    calls.add(_choice("Call_Type", "Inbound", "Outbound", "Missed", mandatory=True))
    calls.add(Field(api_name="Call_Start_Time", type="datetime", is_mandatory=True), Field(api_name="Call_Duration"))
    calls.add(Field(api_name="Call_Duration_in_seconds", type="integer", is_read_only=True))
    calls.add(_choice("Outgoing_Call_Status", "Completed", "Scheduled", "Cancelled", "Overdue"))
    calls.add(*_of("text", "Caller_ID Dialled_Number", 50), *_of("website", "Voice_Recording__s", 2000))
    notes.add(*_of("text", "Note_Title", 120))
    notes.add(Field(api_name="Note_Content", type="textarea", length=32000, is_mandatory=True))
    notes.add(_lookup("Parent_Id", POLYMORPHIC, mandatory=True))
    for one in (leads, deals):
        names = "utm_source utm_medium utm_campaign utm_content utm_term gclientid"
        one.add(*(Field(api_name=name, label=name, is_custom=True) for name in names.split()))
    if has_hub_id:
        for one in (leads, contacts, deals, tasks, calls):
            one.add(Field(api_name="Hub_ID", label="Hub ID", is_unique=True, is_custom=True))
    return found
