"""Zoho CRM on the demo's stage, and its records in the shapes that the auditor reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from hub.demo.stage import CrmStage

__all__ = ["ZohoStage", "as_read_by_the_auditor"]

#: the sandbox's one client
_CLIENT = "1000.SANDBOXCLIENT0123456789ABCDEFGH"
_CLIENT_SECRET = "sandbox-secret-0123456789abcdef0123456789abcdef01"  # noqa: S105 - a stand-in's
_PIPELINE = "Standard (Standard)"
_STAGE = {"open": "Qualification", "won": "Closed Won", "lost": "Closed Lost"}
#: statuses of a lead in which nobody works on it any more
_ENDED = ("Junk Lead", "Lost Lead", "Not Qualified")


@dataclass(slots=True, kw_only=True)
class ZohoStage(CrmStage):
    """Zoho CRM: what the day brings becomes leads, what was there before are contacts and deals."""

    name: ClassVar[str] = "zoho"
    title: ClassVar[str] = "Zoho CRM"

    async def settings(self) -> dict[str, Any]:
        return {
            "client_id": _CLIENT,
            "client_secret": _CLIENT_SECRET,
            "refresh_token": (await self.order("tokens", {"kind": "refresh"}))["refresh_token"],
            "accounts_address": self.address,
            "api_address": self.address,
            "is_loopback_allowed": True,
        }

    async def preload(self, held: Mapping[str, Any]) -> None:
        users: dict[str, dict[str, str]] = {}
        for user in held["users"]:
            first, _, last = user["name"].partition(" ")
            hired = await self.person("hire", first_name=first, last_name=last or first, email=user["email"])
            users[user["email"]] = {"id": hired["id"]}
        contacts: dict[str, dict[str, str]] = {}
        for contact in held["contacts"]:
            first, _, last = contact["name"].partition(" ")
            numbers = dict(zip(("Phone", "Mobile", "Home_Phone"), contact["phones"], strict=False))
            made = await self.person(
                "create",
                module="Contacts",
                First_Name=first,
                Last_Name=last or first,
                Owner=users[contact["responsible"]],
                **numbers,
            )
            contacts[contact["id"]] = {"id": made["id"]}
        deals: dict[str, dict[str, str]] = {}
        for deal in held["deals"]:
            made = await self.person(
                "create",
                module="Deals",
                Deal_Name=deal["name"],
                Contact_Name=contacts[deal["contact"]],
                Pipeline=_PIPELINE,
                Stage=_STAGE[deal["status"]],
                Amount=deal["price"],
                Closing_Date="2030-01-01",
                Owner=users[deal["responsible"]],
            )
            deals[deal["id"]] = {"id": made["id"]}
        for task in held["tasks"]:
            on: dict[str, Any] = (
                {"What_Id": deals[task["on"]], "$se_module": "Deals"}
                if task["on"] in deals
                else {"Who_Id": contacts[task["on"]]}
            )
            await self.person(
                "create",
                module="Tasks",
                Subject=task["text"],
                Due_Date=task["due_at"][:10],
                Owner=users[task["responsible"]],
                Status="Completed" if task["is_completed"] else "Not Started",
                **on,
            )

    async def records(self) -> dict[str, Any]:
        return as_read_by_the_auditor(await self.dump())


def as_read_by_the_auditor(dump: Mapping[str, Any]) -> dict[str, Any]:
    """Contacts and deals as such; a lead as a deal of whoever holds its number, else as a person too."""
    contacts = [_person(contact) for contact in dump["Contacts"]]
    holders: dict[str, int] = {}
    for contact, told in zip(contacts, dump["Contacts"], strict=True):
        for number in _numbers(told):
            holders.setdefault(number, contact["id"])
    leads = [_deal(deal) for deal in dump["Deals"]]
    for lead in dump["Leads"]:
        if lead["Converted__s"]:
            continue
        known = next((holders[number] for number in _numbers(lead) if number in holders), None)
        if known is None:
            contacts.append(_person(lead))
            known = int(lead["id"])
            for number in _numbers(lead):
                holders[number] = known
        leads.append(_lead(lead, known))
    return {
        "contacts": contacts,
        "leads": leads,
        "tasks": list(dump["Tasks"]),
        "notes": list(_call_notes(dump["Calls"])),
    }


def _numbers(record: Mapping[str, Any]) -> list[str]:
    """The last digits of each number: enough to tell people apart, however a number is typed."""
    names = ("Phone", "Mobile", "Home_Phone", "Other_Phone")
    typed = ("".join(char for char in record.get(name) or "" if char.isdecimal()) for name in names)
    return [digits[-9:] for digits in typed if digits]


def _person(record: Mapping[str, Any]) -> dict[str, Any]:
    names = ("Phone", "Mobile", "Home_Phone", "Other_Phone")
    values = [{"value": record[name]} for name in names if record.get(name)]
    return {
        "id": int(record["id"]),
        "name": record["Full_Name"],
        "custom_fields_values": [{"field_code": "PHONE", "values": values}],
    }


def _deal(deal: Mapping[str, Any]) -> dict[str, Any]:
    is_closed = deal["Stage"].startswith("Closed")
    contact = deal.get("Contact_Name")
    return _as_lead(deal, deal["Deal_Name"], is_closed=is_closed, contact=int(contact["id"]) if contact else None)


def _lead(lead: Mapping[str, Any], contact: int) -> dict[str, Any]:
    return _as_lead(lead, lead["Full_Name"], is_closed=lead.get("Lead_Status") in _ENDED, contact=contact)


def _as_lead(record: Mapping[str, Any], name: str, *, is_closed: bool, contact: int | None) -> dict[str, Any]:
    return {
        "id": int(record["id"]),
        "name": name,
        # amoCRM's own number of "lost": what the auditor takes for closed
        "status_id": 143 if is_closed else 1,
        "created_at": _seconds(record["Created_Time"]),
        "closed_at": _seconds(record["Modified_Time"]) if is_closed else None,
        "_embedded": {"contacts": [] if contact is None else [{"id": contact}]},
    }


def _call_notes(calls: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """The telephony's id of a call is the last word of its description, before a mark in brackets."""
    for call in calls:
        words = (call["Description"] or "").split("[")[0].split()
        on = call.get("What_Id") or call.get("Who_Id") or {}
        yield {
            "id": int(call["id"]),
            "note_type": "call_out" if call["Call_Type"] == "Outbound" else "call_in",
            "entity_type": call.get("$se_module") or "Contacts",
            "entity_id": on.get("id"),
            "params": {"uniq": words[-1] if words else ""},
        }


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
