"""From Zoho's words to the hub's: pure. The other direction is `body`.

A Zoho lead is a person and an enquiry at once, so it is told as both: a contact and an open deal with the same id,
``Leads/5725…``. Contacts, accounts, deals and tasks keep Zoho's bare ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from hub.core.phone import Phone, parse_phone
from hub.core.records import (
    Company,
    Contact,
    CrmUser,
    CustomField,
    Deal,
    EmployeeId,
    Pipeline,
    RecordKind,
    RecordRef,
    Stage,
    Task,
    UserId,
    crm_user,
)
from hub.ports import Changes
from hub_zoho import wire
from hub_zoho.profile import Profile
from hub_zoho.wire import Row

__all__ = [
    "COMPLETED",
    "LEADS",
    "NO_STATUS",
    "Reader",
    "lead_pipeline",
    "marks_in",
    "module_of",
    "refs_of",
    "to_custom_fields",
    "to_pipelines",
    "to_user",
    "value_of_stage",
]

LEADS = "Leads"
#: a lead's status before anybody has chosen one
NO_STATUS = "-None-"
COMPLETED = "Completed"
_MODULES = {
    RecordKind.CONTACT: "Contacts",
    RecordKind.COMPANY: "Accounts",
    RecordKind.DEAL: "Deals",
    RecordKind.TASK: "Tasks",
    RecordKind.NOTE: "Notes",
}
_MARK = re.compile(r"\n?\[Hub ID: ([^\]\s]+)\]\s*$")
_TRIGGER = re.compile(r"DATE-TIME:([0-9T:+Z-]+)")
_END_OF_DAY = time(23, 59)


def module_of(ref: RecordRef) -> tuple[str, str]:
    """Zoho's module and id of a record: ``Leads/5`` is a lead, whichever kind is meant."""
    module, _, record_id = ref.id.rpartition("/")
    return (module, record_id) if module else (_MODULES[ref.kind], ref.id)


def refs_of(module: str, record_id: str) -> tuple[RecordRef, ...]:
    """What a record of ``module`` is to the hub; () if nothing."""
    if module == LEADS:
        lead_id = f"{LEADS}/{record_id}"
        kinds = (RecordKind.CONTACT, RecordKind.DEAL)
        return tuple(RecordRef(kind=kind, id=lead_id) for kind in kinds)
    return tuple(
        RecordRef(kind=kind, id=record_id)
        for kind, name in _MODULES.items()
        if name == module and kind is not RecordKind.NOTE
    )


def marks_in(row: Row, field: str) -> tuple[str, ...]:
    """Our marks on a record, in the field for it or at the end of its description: a lead bears two."""
    text = row.text(field) if field else ""
    if not text:
        found = _MARK.search(row.text("Description"))
        text = found.group(1) if found else ""
    return tuple(text.split("+")) if text else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads records the way this connection's numbers are to be read (C4, W7)."""

    region: str
    profile: Profile
    closed_lead_statuses: tuple[str, ...] = ()
    eight_is_seven: bool = False

    def phone(self, text: str) -> Phone | None:
        return parse_phone(text, self.region, eight_is_seven=self.eight_is_seven)

    def phones(self, row: Row) -> tuple[Phone, ...]:
        """Every readable number of the record, as E.164, each once."""
        texts = (text for name in self.profile.phone_fields(row.module) for text in row.texts(name))
        found = [self.phone(text) for text in texts if text]
        return tuple(dict.fromkeys(phone for phone in found if phone is not None))

    def emails(self, row: Row) -> tuple[str, ...]:
        texts = (row.text(name).strip().lower() for name in self.profile.email_fields(row.module))
        return tuple(dict.fromkeys(text for text in texts if text))

    def custom(self, row: Row) -> dict[str, str]:
        """The custom fields that are filled, by API name, without our mark."""
        specs, own = self.profile.fields.get(row.module, {}), self.profile.hub_id_fields.get(row.module)
        found = {name: row.text(name) for name, spec in specs.items() if spec.is_custom and name != own}
        return {name: text for name, text in found.items() if text}

    def changes(self, rows: Iterable[Row], *, deleted: Iterable[RecordRef] = (), cursor: str = "") -> Changes:
        """``rows`` in the hub's words; a lead that was converted is gone, what it became is to be read.

        What has no readable id is left out: nothing could be done with it.
        """
        contacts: dict[str, Contact] = {}
        companies: dict[str, Company] = {}
        deals: dict[str, Deal] = {}
        tasks: dict[str, Task] = {}
        gone, touched = dict.fromkeys(deleted), dict.fromkeys(())  # type: dict[RecordRef, None], dict[RecordRef, None]
        for row in (one for one in rows if one.id):
            match row.module:
                case "Leads" if row.is_set("Converted__s"):
                    gone |= dict.fromkeys(refs_of(LEADS, row.id))
                    touched |= dict.fromkeys(converted_into(row))
                case "Leads":
                    lead = self.lead_contact(row)
                    contacts[lead.id], deals[lead.id] = lead, self.lead_deal(row)
                case "Contacts":
                    contacts[row.id] = self.contact(row)
                case "Accounts":
                    companies[row.id] = self.company(row)
                case "Deals":
                    deals[row.id] = self.deal(row)
                case "Tasks":
                    tasks[row.id] = self.task(row)
        return Changes(
            contacts=tuple(contacts.values()),
            companies=tuple(companies.values()),
            deals=tuple(deals.values()),
            tasks=tuple(tasks.values()),
            deleted=tuple(gone),
            touched=tuple(touched),
            cursor=cursor,
        )

    # --- records ------------------------------------------------------------------------------------------------

    def contact(self, row: Row) -> Contact:
        return Contact(
            id=row.id,
            name=_name(row),
            phones=self.phones(row),
            emails=self.emails(row),
            responsible=responsible(row),
            company_id=row.lookup("Account_Name") or None,
            fields=self.custom(row),
            tags=row.tags,
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
        )

    def company(self, row: Row) -> Company:
        return Company(
            id=row.id,
            name=row.text("Account_Name"),
            phones=self.phones(row),
            emails=self.emails(row),
            responsible=responsible(row),
            fields=self.custom(row),
            tags=row.tags,
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
        )

    def deal(self, row: Row) -> Deal:
        stage, pipeline = row.text("Stage"), row.text("Pipeline")
        is_open = self.profile.is_open(stage)
        contact, company = row.lookup("Contact_Name"), row.lookup("Account_Name")
        pipeline_id = pipeline if self.profile.has_pipelines else "Deals"
        return Deal(
            id=row.id,
            name=row.text("Deal_Name"),
            pipeline_id=pipeline_id,
            stage_id=_stage_id(pipeline_id, stage),
            is_open=is_open,
            is_won=self.profile.is_won(stage),
            responsible=responsible(row),
            contact_ids=(contact,) if contact else (),
            company_id=company or None,
            price=row.number("Amount"),
            fields=self.custom(row),
            tags=row.tags,
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
            closed_at=None if is_open else row.moment("Modified_Time"),
        )

    def lead_contact(self, row: Row) -> Contact:
        """The person of a lead; its custom fields stand with the deal."""
        lead_id = f"{LEADS}/{row.id}"
        return Contact(
            id=lead_id,
            name=_name(row),
            phones=self.phones(row),
            emails=self.emails(row),
            responsible=responsible(row),
            tags=row.tags,
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
            deal_ids=(lead_id,),
        )

    def lead_deal(self, row: Row) -> Deal:
        """The enquiry of a lead, open unless its status is one that the settings call final."""
        lead_id, status = f"{LEADS}/{row.id}", row.text("Lead_Status") or NO_STATUS
        return Deal(
            id=lead_id,
            name=_name(row),
            pipeline_id=LEADS,
            stage_id=_stage_id(LEADS, status),
            is_open=status not in self.closed_lead_statuses,
            responsible=responsible(row),
            contact_ids=(lead_id,),
            fields=self.custom(row),
            tags=row.tags,
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
        )

    def task(self, row: Row) -> Task:
        described = _MARK.sub("", row.text("Description")).strip()
        return Task(
            id=row.id,
            text=described or row.text("Subject"),
            responsible=responsible(row),
            due_at=self.due_at(row),
            is_open=row.text("Status") != COMPLETED,
            on=task_target(row),
            created_at=row.moment("Created_Time"),
            updated_at=row.moment("Modified_Time"),
        )

    def due_at(self, row: Row) -> datetime | None:
        """The reminder's moment if it has one; else the end of the day on which the task is due."""
        found = _TRIGGER.search(row.alarm)
        if found is not None:
            try:
                moment = datetime.fromisoformat(found.group(1))
            except ValueError:
                moment = None  # somebody's own rule
            if moment is not None and moment.tzinfo is not None:
                return moment.astimezone(UTC)
        try:
            day = datetime.fromisoformat(row.text("Due_Date"))
        except ValueError:
            return None
        return datetime.combine(day.date(), _END_OF_DAY, self.profile.zone).astimezone(UTC)


def converted_into(row: Row) -> Sequence[RecordRef]:
    """What a lead became."""
    kinds = {
        "Converted_Contact": RecordKind.CONTACT,
        "Converted_Account": RecordKind.COMPANY,
        "Converted_Deal": RecordKind.DEAL,
    }
    found = ((kind, row.lookup(name)) for name, kind in kinds.items())
    return [RecordRef(kind=kind, id=record_id) for kind, record_id in found if record_id]


def task_target(row: Row) -> RecordRef | None:
    """What a task hangs on: What_Id names a lead, a deal or an account, Who_Id only ever a contact (3)."""
    what, module = row.lookup("What_Id"), row.text("$se_module")
    if what and module in (LEADS, "Deals", "Accounts"):
        refs = refs_of(module, what)
        return next((ref for ref in refs if ref.kind is RecordKind.DEAL), refs[0])
    who = row.lookup("Who_Id")
    return RecordRef(kind=RecordKind.CONTACT, id=who) if who else None


def responsible(row: Row) -> EmployeeId | None:
    owner = row.lookup("Owner")
    return crm_user(owner) if owner else None


def _name(row: Row) -> str:
    return row.text("Full_Name") or f"{row.text('First_Name')} {row.text('Last_Name')}".strip()


def _stage_id(pipeline: str, value: str) -> str:
    return f"{pipeline}/{value}" if value else ""


def value_of_stage(stage_id: str | None, pipeline_id: str | None) -> str:
    """Zoho's value of a stage of ours; "" if there is none."""
    return (stage_id or "").removeprefix(f"{pipeline_id}/") if stage_id else ""


# --- what an organisation offers --------------------------------------------------------------------------------


def to_user(found: wire.User) -> CrmUser:
    profile = (found.profile.name or "") if found.profile else ""
    return CrmUser(
        id=UserId(found.id),
        name=found.full_name or "",
        email=found.email or "",
        phone=found.phone or found.mobile or "",
        is_active=found.status == "active",
        is_admin=profile == "Administrator",
    )


def lead_pipeline(profile: Profile, closed: Iterable[str], *, is_main: bool) -> Pipeline:
    """Leads as a pipeline, their statuses as its stages; the first leaves the status to Zoho."""
    spec = profile.fields.get(LEADS, {}).get("Lead_Status")
    values = dict.fromkeys((NO_STATUS, *(spec.choices if spec else ())))
    final = frozenset(closed)
    stages = tuple(Stage(id=_stage_id(LEADS, v), name=v, is_final=v in final, is_blank=v == NO_STATUS) for v in values)
    return Pipeline(id=LEADS, name=LEADS, is_main=is_main, stages=stages)


def to_pipelines(found: Sequence[wire.Pipeline], profile: Profile, *, is_main: bool) -> list[Pipeline]:
    """The pipelines of deals; an organisation without any has one, of all stages."""
    if not found:
        values = [(value, value) for value in profile.stages]
        return [Pipeline(id="Deals", name="Deals", is_main=is_main, stages=_stages("Deals", values, profile))]
    made: list[Pipeline] = []
    for pipeline in sorted(found, key=lambda one: not one.default):
        pipeline_id = pipeline.actual_value or pipeline.display_value
        maps = sorted(pipeline.maps or (), key=lambda stage: stage.sequence_number or 0)
        values = [(stage.actual_value or stage.display_value, stage.display_value) for stage in maps]
        name = pipeline.display_value or pipeline_id
        stages = _stages(pipeline_id, values, profile)
        made.append(Pipeline(id=pipeline_id, name=name, is_main=is_main and not made, stages=stages))
    return made


def _stages(pipeline: str, values: Iterable[tuple[str, str]], profile: Profile) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            id=_stage_id(pipeline, value),
            name=shown or value,
            is_final=not profile.is_open(value),
            is_won=profile.is_won(value),
        )
        for value, shown in values
    )


def to_custom_fields(profile: Profile) -> list[CustomField]:
    """Fields that a policy may fill, by API name; leads and deals share those of the same name."""
    kinds = {LEADS: RecordKind.DEAL, "Deals": RecordKind.DEAL, "Contacts": RecordKind.CONTACT}
    kinds["Accounts"] = RecordKind.COMPANY
    found: dict[tuple[RecordKind, str], CustomField] = {}
    for module, kind in kinds.items():
        own = profile.hub_id_fields.get(module)
        for name, spec in profile.fields.get(module, {}).items():
            if spec.is_read_only or name == own or not (spec.is_custom or spec.type in ("picklist", "text")):
                continue
            field = CustomField(
                id=name, name=spec.label or name, record=kind, code=name, type=spec.type, choices=spec.choices
            )
            found.setdefault((kind, name), field)
    return list(found.values())
