"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from pydantic import BaseModel, SecretStr

from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import ConnectionContext, Write
from hub.testing.outfit import DEEDS, Fault, Held, SinkOutfit

from .config import RetailCrmSettings
from .sandbox import Sandbox, SandboxConfig, Switches, serve
from .sink import RetailCrmSink

__all__ = ["OUTFIT"]

_WORDS = {
    RecordKind.CONTACT: "customers",
    RecordKind.COMPANY: "corporate",
    RecordKind.DEAL: "orders",
    RecordKind.TASK: "tasks",
}
_FAULTS: Mapping[Fault, dict[str, Any]] = {
    Fault.THROTTLED: {"kind": "throttle"},
    Fault.FAILED: {"status": 502},
    Fault.CUT: {"kind": "disconnect", "applied": False},
    Fault.LOST: {"kind": "disconnect", "applied": True},
}


class _Account:
    """One RetailCRM account as `hub.testing.outfit.CrmStage`."""

    deeds = DEEDS
    hosts: Mapping[str, tuple[RecordKind, ...]] = {}

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self._sandbox, self._url = sandbox, url
        self._key, self._numbers = sandbox.api_key, count(1)

    def reset(self) -> None:
        self._sandbox.reset()
        self._key = self._sandbox.api_key
        self._sandbox.switch(limit_per_second=None, telephony_per_second=None, search_lag_seconds=0.0)

    def settings(self, *, page_size: int | None = None) -> BaseModel:
        # RetailCRM knows pages of 20, 50 and 100
        paged: dict[str, Any] = {} if page_size is None else {"page_size": 20}
        key = SecretStr(self._key)
        return RetailCrmSettings(address=self._url, api_key=key, is_loopback_allowed=True, **paged)

    async def connect(self, context: ConnectionContext) -> BaseModel:
        return context.settings

    # --- looking

    def records(self) -> Sequence[Held]:
        found = self._sandbox.records()
        held = [_held(kind, record) for kind, word in _WORDS.items() for record in found[word]]
        held += [_note(record) for record in found["notes"]]
        return [*held, *(_call(record) for record in found["calls"])]

    def requests(self) -> int:
        return len(self._sandbox.requests())

    # --- trouble

    def fail_next(self, write: Write | None, fault: Fault, count: int = 1) -> None:
        method, path = ("GET", "/api/v5/") if write is None else ("POST", _path(write))
        self._sandbox.fail_next(method, path, count=count, **_FAULTS[fault])

    def spoil(self, write: Write) -> Write | None:
        """A custom field that the account does not have; a user who left."""
        match write.action.kind:
            case "create_contact" | "create_deal":
                return replace(write, fields={"customFields.nothing": "Нет такого"})
            case "create_task":
                return replace(write, user=UserId("29"))
        return None

    def limit(self) -> None:
        self._sandbox.switch(limit_per_second=10, telephony_per_second=40)

    def violations(self) -> int:
        return self._sandbox.limiter.violations

    def revoke(self) -> None:
        self._sandbox.revoke_key(self._key)
        self._key = f"another-key-{next(self._numbers)}"
        self._sandbox.add_key(self._key)

    def lag_search(self) -> None:
        self._sandbox.switch(search_lag_seconds=60)

    def advance(self, by: timedelta) -> None:
        self._sandbox.advance(by.total_seconds())

    # --- people at work

    def create_contact(self, name: str, phone: str = "") -> RecordRef:
        values = {"phone": phone} if phone else {}
        return self._make("create_customer", RecordKind.CONTACT, firstName=name, **values)

    def create_deal(self, name: str, contact: RecordRef | None = None) -> RecordRef:
        of = {"customer_id": int(contact.id)} if contact else {}
        return self._make("create_order", RecordKind.DEAL, number=name, **of)

    def create_task(self, text: str, on: RecordRef | None = None) -> RecordRef:
        of = {}
        if on is not None:
            of = {"order_id" if on.kind is RecordKind.DEAL else "customer_id": int(on.id)}
        return self._make("create_task", RecordKind.TASK, text=text, performerId=21, **of)

    def rename(self, ref: RecordRef, name: str) -> None:
        if ref.kind is RecordKind.DEAL:
            self._sandbox.person("edit_order", id=int(ref.id), number=name)
        else:
            self._sandbox.person("edit_customer", id=int(ref.id), firstName=name)

    def give(self, ref: RecordRef, user: UserId) -> None:
        action = "edit_order" if ref.kind is RecordKind.DEAL else "edit_customer"
        self._sandbox.person(action, id=int(ref.id), managerId=int(user))

    def delete(self, ref: RecordRef) -> None:
        self._sandbox.person("delete", kind=_WORDS[ref.kind], id=int(ref.id))

    def merge(self, survivor: RecordRef, loser: RecordRef) -> None:
        self._sandbox.person("combine", id=int(survivor.id), victims=[int(loser.id)])

    def close(self, deal: RecordRef) -> None:
        self._sandbox.person("edit_order", id=int(deal.id), status="no-call")

    def complete(self, task: RecordRef) -> None:
        self._sandbox.person("edit_task", id=int(task.id), complete=True)

    def _make(self, action: str, kind: RecordKind, **values: Any) -> RecordRef:
        return RecordRef(kind=kind, id=str(self._sandbox.person(action, **values)["id"]))


def _path(write: Write) -> str:
    """How the path of the request begins that carries ``write``; one and many have different ends."""
    match write.action.kind:
        case "create_contact" | "update_contact":
            return "/api/v5/customers/"
        case "create_deal" | "update_deal":
            return "/api/v5/orders/"
        case "create_task":
            return "/api/v5/tasks/create"
        case "update_task" | "complete_task":
            return f"/api/v5/tasks/{write.refs['task'].id}/edit"
        case "record_call":
            return "/api/v5/telephony/calls/upload"
        case "add_note":
            return "/api/v5/customers/notes/create"
    return "/api/v5/telephony/call/event"


def _held(kind: RecordKind, record: Mapping[str, Any]) -> Held:
    ref = RecordRef(kind=kind, id=str(record["id"]))
    user = record.get("performer" if kind is RecordKind.TASK else "managerId")
    responsible = UserId(str(user)) if user else None
    if kind is RecordKind.TASK:
        text = f"{record['text']}\n{record.get('commentary') or ''}"
        return Held(ref=ref, name=text, responsible=responsible, is_open=not record["complete"], on=_place(record))
    if kind is RecordKind.DEAL:
        return Held(
            ref=ref,
            name=f"{record['number']} {record.get('managerComment') or ''}",
            responsible=responsible,
            is_open=record["status"] not in ("complete", "no-call", "cancel-other"),
            contact_ids=(str(record["customer"]["id"]),),
            price=float(record["totalSumm"]),
            stage_id=record["status"],
        )
    return Held(
        ref=ref,
        name=str(record.get("nickName") or record.get("firstName") or ""),
        phones=tuple(phone["number"] for phone in record.get("phones", ())),
        emails=tuple(filter(None, (record.get("email"),))),
        responsible=responsible,
    )


def _place(record: Mapping[str, Any]) -> RecordRef | None:
    if record.get("order"):
        return RecordRef(kind=RecordKind.DEAL, id=str(record["order"]["id"]))
    return RecordRef(kind=RecordKind.CONTACT, id=str(record["customer"]["id"])) if record.get("customer") else None


def _note(record: Mapping[str, Any]) -> Held:
    """Only customers have notes: one about an order begins with its number."""
    on = RecordRef(kind=RecordKind.CONTACT, id=str(record["customer"]["id"]))
    is_about_order = record["text"].startswith("№ ")
    return Held(
        ref=RecordRef(kind=RecordKind.NOTE, id=str(record["id"])),
        name=record["text"],
        on=None if is_about_order else on,
    )


def _call(record: Mapping[str, Any]) -> Held:
    external_id = str(record["externalId"])
    return Held(ref=RecordRef(kind=RecordKind.NOTE, id=external_id), uniq=external_id)


@contextmanager
def _serve() -> Iterator[_Account]:
    with serve(Sandbox(SandboxConfig(switches=Switches(limit_per_second=None)))) as (sandbox, url):
        yield _Account(sandbox, url)


OUTFIT = SinkOutfit(sink=RetailCrmSink(), serve=_serve)
