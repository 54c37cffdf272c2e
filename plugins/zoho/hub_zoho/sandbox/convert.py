"""``POST /Leads/{id}/actions/convert`` (section 3): a lead becomes contact, account and deal, and vanishes."""

from __future__ import annotations

from typing import Any

from . import writing
from .ask import Ask
from .fields import PIPELINE
from .reply import ItemRefusal, Json, Refusal, Reply, answer, invalid
from .value import reference_id
from .world import Record, World

_DEAL_KEYS = ("Deal_Name", "Closing_Date", "Stage", "Pipeline")
_CARRIED = ("First_Name", "Last_Name", "Phone", "Mobile", "Email", "Secondary_Email", "Description", "Lead_Source")


def convert(world: World, ask: Ask) -> Reply:
    item = ask.data(most=1)[0]
    lead = world.find("Leads", ask.params["id"], with_converted=True)
    if lead is None:
        raise Refusal(400, "INVALID_DATA", "the id given seems to be invalid", {"id": ask.params["id"]})
    try:
        details = convert_lead(world, lead, item, ask.user_id)
    except ItemRefusal as refused:
        return answer({"data": [refused.told(0)]}, 400)
    told = {"code": "SUCCESS", "message": "The record has been converted successfully", "status": "success"}
    return answer({"data": [{**told, "details": details}]})


def convert_lead(world: World, lead: Record, item: Json, by: str) -> Json:
    """Convert; the answer's details. Raises ItemRefusal before anything is changed."""
    if lead.is_converted:
        raise ItemRefusal("ID_ALREADY_CONVERTED", "id already converted")
    wish = item.get("Deals")
    if isinstance(wish, dict):
        for name in _DEAL_KEYS:
            if not wish.get(name):
                raise ItemRefusal("MANDATORY_NOT_FOUND", "required field not found", f"Deals.{name}")
        if wish["Pipeline"] != PIPELINE:
            raise ItemRefusal("MAPPING_MISMATCH", "Layout doesn't contain the Pipeline", "Deals.Pipeline")
    owner = reference_id(item.get("assign_to")) or lead.values["Owner"]
    if owner not in world.users or not world.users[owner].is_active:
        raise invalid("assign_to", id=owner)
    contact = _existing(world, "Contacts", item) or _contact(world, lead, owner, by)
    account = _existing(world, "Accounts", item) or _account(world, lead, owner, by)
    if account is not None and not contact.values.get("Account_Name"):
        contact.values["Account_Name"] = account.id
    deal = None
    if isinstance(wish, dict):
        relations: Json = {"Contact_Name": {"id": contact.id}, "Owner": {"id": owner}}
        if account is not None:
            relations["Account_Name"] = {"id": account.id}
        custom = {n: v for n, v in lead.values.items() if n in ("utm_source", "utm_medium", "utm_campaign")}
        deal = writing.insert(world, "Deals", {**custom, **relations, **wish}, by)
    before = dict(lead.values)
    lead.is_converted = True
    lead.values = lead.values | {
        "Converted_Contact": contact.id,
        "Converted_Account": account.id if account else None,
        "Converted_Deal": deal.id if deal else None,
        "Converted_Date_Time": world.clock.now(),
    }
    writing.touch(world, lead, by, before, ["Converted__s"])
    _move(world, lead, contact, deal)

    def short(record: Record | None) -> Any:
        return {"name": world.name_of(record), "id": record.id} if record else None

    return {"Contacts": short(contact), "Deals": short(deal), "Accounts": short(account)}


def _existing(world: World, module: str, item: Json) -> Record | None:
    record_id = reference_id(item.get(module))
    if record_id is None:
        return None
    found = world.find(module, record_id)
    if found is None:
        raise invalid(module, id=record_id)
    return found


def _contact(world: World, lead: Record, owner: str, by: str) -> Record:
    carried = {name: lead.values[name] for name in _CARRIED if lead.values.get(name)}
    made = writing.insert(world, "Contacts", {**carried, "Owner": {"id": owner}}, by)
    made.values["Tag"] = list(lead.values.get("Tag", ()))
    return made


def _account(world: World, lead: Record, owner: str, by: str) -> Record | None:
    name = str(lead.values.get("Company") or "").strip("- ")
    if not name:
        return None
    known = next((one for one in world.of("Accounts") if one.values.get("Account_Name") == name), None)
    return known or writing.insert(world, "Accounts", {"Account_Name": name, "Owner": {"id": owner}}, by)


def _move(world: World, lead: Record, contact: Record, deal: Record | None) -> None:
    """Tasks, calls and notes of the lead go along, without a change of their own time."""
    for module in ("Tasks", "Calls"):
        for record in world.of(module):
            if record.values.get("What_Id") == lead.id:
                record.values["Who_Id"] = contact.id
                if deal is not None:
                    record.values |= {"What_Id": deal.id, "$se_module": "Deals"}
                else:
                    record.values |= {"What_Id": None, "$se_module": "Contacts"}
    for note in world.of("Notes"):
        if note.values.get("Parent_Id") == lead.id:
            note.values |= {"Parent_Id": contact.id, "$parent_module": "Contacts"}
