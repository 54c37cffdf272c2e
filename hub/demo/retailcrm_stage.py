"""RetailCRM on the demo's stage, and its records in the shapes that the auditor reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from hub.demo.stage import CrmStage

__all__ = ["RetailCrmStage", "as_read_by_the_auditor"]

#: the sandbox's one key
_KEY = "sandbox-api-key-0123456789abcdef"
_ZONE = ZoneInfo("Europe/Kyiv")
_STATUS = {"open": "new", "won": "complete", "lost": "no-call"}
#: groups of final statuses in the sandbox's account
_WON, _LOST = ("complete",), ("no-call", "cancel-other")


@dataclass(slots=True, kw_only=True)
class RetailCrmStage(CrmStage):
    """RetailCRM: contacts are customers, deals are orders."""

    name: ClassVar[str] = "retailcrm"
    title: ClassVar[str] = "RetailCRM"

    async def settings(self) -> dict[str, Any]:
        return {"address": self.address, "api_key": _KEY, "is_loopback_allowed": True}

    async def preload(self, held: Mapping[str, Any]) -> None:
        users: dict[str, int] = {}
        for user in held["users"]:
            first, _, last = user["name"].partition(" ")
            made = await self.person("create_user", firstName=first, lastName=last, email=user["email"])
            users[user["email"]] = made["id"]
        customers: dict[str, int] = {}
        for contact in held["contacts"]:
            first, _, last = contact["name"].partition(" ")
            made = await self.person(
                "create_customer",
                firstName=first,
                lastName=last,
                phones=[{"number": phone} for phone in contact["phones"]],
                managerId=users[contact["responsible"]],
            )
            customers[contact["id"]] = made["id"]
        orders: dict[str, int] = {}
        for deal in held["deals"]:
            made = await self.person(
                "create_order",
                customer_id=customers[deal["contact"]],
                managerComment=deal["name"],
                managerId=users[deal["responsible"]],
            )
            orders[deal["id"]] = made["id"]
            if deal["status"] != "open":
                await self.person("edit_order", id=made["id"], status=_STATUS[deal["status"]])
        for task in held["tasks"]:
            on = {"order_id": orders[task["on"]]} if task["on"] in orders else {"customer_id": customers[task["on"]]}
            due = datetime.fromisoformat(task["due_at"]).astimezone(_ZONE)
            made = await self.person(
                "create_task",
                text=task["text"],
                performerId=users[task["responsible"]],
                datetime=due.strftime("%Y-%m-%d %H:%M"),
                **on,
            )
            if task["is_completed"]:
                await self.person("edit_task", id=made["id"], complete=True)

    async def records(self) -> dict[str, Any]:
        return as_read_by_the_auditor(await self.dump())


def as_read_by_the_auditor(dump: Mapping[str, Any]) -> dict[str, Any]:
    """Customers as contacts, orders as leads, uploaded calls as call notes (`hub.demo.audit`)."""
    return {
        "contacts": [_contact(customer) for customer in dump["customers"]],
        "leads": [_lead(order) for order in dump["orders"]],
        "tasks": list(dump["tasks"]),
        "notes": list(_call_notes(dump["calls"])),
    }


def _contact(customer: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [{"value": phone["number"]} for phone in customer.get("phones") or ()]
    return {
        "id": customer["id"],
        "name": " ".join(str(customer[part]) for part in ("firstName", "lastName") if customer.get(part)),
        "custom_fields_values": [{"field_code": "PHONE", "values": numbers}],
    }


def _lead(order: Mapping[str, Any]) -> dict[str, Any]:
    is_closed = order["status"] in (*_WON, *_LOST)
    customer = order.get("customer") or {}
    return {
        "id": order["id"],
        "name": order.get("managerComment") or order["number"],
        # amoCRM's own numbers of "won" and "lost": what the auditor takes for closed
        "status_id": 142 if order["status"] in _WON else 143 if is_closed else 1,
        "created_at": _seconds(order["createdAt"]),
        "closed_at": _seconds(order["statusUpdatedAt"]) if is_closed else None,
        "_embedded": {"contacts": [{"id": customer["id"]}] if "id" in customer else []},
    }


def _call_notes(calls: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for number, call in enumerate(calls, start=1):
        yield {
            "id": number,
            "note_type": "call_in" if call["type"] == "in" else "call_out",
            "entity_type": "customer",
            "entity_id": call.get("customer"),
            "params": {"uniq": call["externalId"]},
        }


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=_ZONE).timestamp())
