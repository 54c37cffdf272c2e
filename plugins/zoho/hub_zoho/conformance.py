"""What the hub's conformance kit needs to try this plugin (X4).

The kit speaks of contacts and of deals that hang on them, so the organisation is set to make those; leads, which are
both at once, have tests of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, SecretStr

from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import ConnectionContext, OAuthGrant, Write
from hub.testing.outfit import DEEDS, Fault, Held, SinkOutfit

from .config import ZohoSettings
from .sandbox import Sandbox, SandboxConfig, serve
from .sink import ZohoSink

__all__ = ["OUTFIT"]

_REDIRECT = "http://127.0.0.1:8000/oauth/zoho/callback"
_MODULES = {RecordKind.CONTACT: "Contacts", RecordKind.DEAL: "Deals", RecordKind.TASK: "Tasks"}
_PLACES = {"Contacts": RecordKind.CONTACT, "Deals": RecordKind.DEAL}
_PIPELINE, _STAGE, _FINAL = "Standard (Standard)", "Qualification", "Closed Lost"
_FAULTS: Mapping[Fault, dict[str, Any]] = {
    Fault.THROTTLED: {"kind": "throttle"},
    Fault.FAILED: {"status": 500},
    Fault.CUT: {"kind": "disconnect", "applied": False},
    Fault.LOST: {"kind": "disconnect", "applied": True},
}


class _Account:
    """One organisation as `hub.testing.outfit.CrmStage`, with tokens (`RotatesTokens`)."""

    deeds = DEEDS
    hosts: Mapping[str, tuple[RecordKind, ...]] = {}
    renews_after = timedelta(minutes=55)
    expires_after = timedelta(minutes=61)

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self._sandbox, self._url = sandbox, url
        self._token = ""

    def reset(self) -> None:
        self._sandbox.reset()
        self._sandbox.switch(concurrency=None, sub_concurrency=None, credits=None)
        self._token = self._sandbox.refresh_token()

    def settings(self, *, page_size: int | None = None) -> BaseModel:
        paged: dict[str, Any] = {} if page_size is None else {"page_size": page_size}
        return self._settings(refresh_token=SecretStr(self._token), **paged)

    def _settings(self, **values: Any) -> ZohoSettings:
        credentials = self._sandbox.oauth.credentials
        return ZohoSettings(
            client_id=credentials.client_id,
            client_secret=SecretStr(credentials.client_secret),
            accounts_address=self._url,
            api_address=self._url,
            is_loopback_allowed=True,
            new_enquiries="deals",
            **values,
        )

    async def connect(self, context: ConnectionContext) -> BaseModel:
        return context.settings

    async def connect_by_oauth(self, context: ConnectionContext) -> BaseModel:
        sink, settings = ZohoSink(), self._settings()
        self._sandbox.switch(auto_consent=True)
        answer = await context.http.get(sink.consent_url(settings, _REDIRECT, "st4te"))
        self._sandbox.switch(auto_consent=False)
        query = {name: found[0] for name, found in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        grant = OAuthGrant(code=query["code"], redirect_uri=_REDIRECT, parameters=query)
        return await sink.exchange(replace(context, settings=settings), grant)

    def refreshes(self) -> int:
        return self._sandbox.oauth.refreshes

    # --- looking

    def records(self) -> Sequence[Held]:
        found = self._sandbox.records()
        held = [_card(record, RecordKind.CONTACT) for record in found["Contacts"]]
        held += [_deal(record) for record in found["Deals"]] + [_task(record) for record in found["Tasks"]]
        return [*held, *(_note(record) for record in found["Notes"]), *(_call(record) for record in found["Calls"])]

    def requests(self) -> int:
        return len(self._sandbox.requests())

    # --- trouble

    def fail_next(self, write: Write | None, fault: Fault, count: int = 1) -> None:
        method, path = ("GET", "/crm/v8/") if write is None else _request(write)
        self._sandbox.fail_next(method, path, count=count, exact=write is not None, **_FAULTS[fault])

    def spoil(self, write: Write) -> Write | None:
        """A choice that the list field does not offer; a user who left."""
        match write.action.kind:
            case "create_contact":
                return replace(write, fields={"Lead_Source": "Нет такого"})
            case "create_deal" | "create_task":
                return replace(write, user=UserId("5725767000000411009"))
        return None

    def limit(self) -> None:
        self._sandbox.switch(concurrency=10, sub_concurrency=10)

    def violations(self) -> int:
        return self._sandbox.gateway.violations

    def revoke(self) -> None:
        self._sandbox.revoke()
        self._token = self._sandbox.refresh_token()

    def lag_search(self) -> None:
        self._sandbox.switch(search_lag_seconds=60)

    def advance(self, by: timedelta) -> None:
        self._sandbox.advance(by.total_seconds())

    # --- people at work

    def create_contact(self, name: str, phone: str = "") -> RecordRef:
        values = {"Phone": phone} if phone else {}
        return self._make(RecordKind.CONTACT, Last_Name=name, **values)

    def create_deal(self, name: str, contact: RecordRef | None = None) -> RecordRef:
        values: dict[str, Any] = {"Contact_Name": {"id": contact.id}} if contact else {}
        stock = {"Stage": _STAGE, "Pipeline": _PIPELINE, "Closing_Date": "2030-01-01"}
        return self._make(RecordKind.DEAL, Deal_Name=name, **stock, **values)

    def create_task(self, text: str, on: RecordRef | None = None) -> RecordRef:
        values: dict[str, Any] = {}
        if on is not None:
            name = "Who_Id" if on.kind is RecordKind.CONTACT else "What_Id"
            values = {name: {"id": on.id}, "$se_module": _MODULES[on.kind]}
        return self._make(RecordKind.TASK, Subject=text, **values)

    def rename(self, ref: RecordRef, name: str) -> None:
        if ref.kind is RecordKind.DEAL:
            self._change(ref, Deal_Name=name)
        else:
            self._change(ref, First_Name=None, Last_Name=name)

    def give(self, ref: RecordRef, user: UserId) -> None:
        self._change(ref, Owner={"id": str(user)})

    def delete(self, ref: RecordRef) -> None:
        self._sandbox.person("delete", module=_MODULES[ref.kind], id=ref.id)

    def merge(self, survivor: RecordRef, loser: RecordRef) -> None:
        self._sandbox.person("merge", module="Contacts", master=survivor.id, id=loser.id)

    def close(self, deal: RecordRef) -> None:
        self._change(deal, Stage=_FINAL)

    def complete(self, task: RecordRef) -> None:
        self._change(task, Status="Completed")

    def _make(self, kind: RecordKind, **values: Any) -> RecordRef:
        return RecordRef(kind=kind, id=self._sandbox.person("create", module=_MODULES[kind], **values)["id"])

    def _change(self, ref: RecordRef, **values: Any) -> None:
        self._sandbox.person("update", module=_MODULES[ref.kind], id=ref.id, **values)


def _request(write: Write) -> tuple[str, str]:
    """Method and path of the request that carries ``write``."""
    kind = write.action.kind
    method = "POST" if kind.startswith(("create", "record", "add")) else "PUT"
    match kind:
        case "create_contact" | "update_contact":
            return method, "/crm/v8/Contacts"
        case "create_deal" | "update_deal":
            return method, "/crm/v8/Deals"
        case "record_call":
            return method, "/crm/v8/Calls"
        case "add_note":
            return method, "/crm/v8/Notes"
    return method, "/crm/v8/Tasks"


def _card(record: Mapping[str, Any], kind: RecordKind) -> Held:
    return Held(
        ref=RecordRef(kind=kind, id=record["id"]),
        name=record["Full_Name"],
        phones=_filled(record, "Phone", "Mobile", "Home_Phone", "Other_Phone", "Asst_Phone"),
        emails=_filled(record, "Email", "Secondary_Email"),
        responsible=_owner(record),
    )


def _deal(record: Mapping[str, Any]) -> Held:
    contact = record["Contact_Name"]
    return Held(
        ref=RecordRef(kind=RecordKind.DEAL, id=record["id"]),
        name=record["Deal_Name"],
        responsible=_owner(record),
        is_open=not record["Stage"].startswith("Closed"),
        contact_ids=(contact["id"],) if contact else (),
        price=record["Amount"],
        stage_id=f"{record['Pipeline']}/{record['Stage']}",
    )


def _task(record: Mapping[str, Any]) -> Held:
    return Held(
        ref=RecordRef(kind=RecordKind.TASK, id=record["id"]),
        name=record["Description"] or record["Subject"],
        responsible=_owner(record),
        is_open=record["Status"] != "Completed",
        on=_place(record),
    )


def _note(record: Mapping[str, Any]) -> Held:
    parent = record["Parent_Id"]
    on = RecordRef(kind=_PLACES[parent["module"]["api_name"]], id=parent["id"])
    return Held(
        ref=RecordRef(kind=RecordKind.NOTE, id=f"Notes/{record['id']}"), name=record["Note_Content"] or "", on=on
    )


def _call(record: Mapping[str, Any]) -> Held:
    """The telephony's id of the call is the last word of the description."""
    words = (record["Description"] or "").split()
    return Held(
        ref=RecordRef(kind=RecordKind.NOTE, id=f"Calls/{record['id']}"),
        responsible=_owner(record),
        on=_place(record),
        uniq=words[-1] if words else "",
    )


def _place(record: Mapping[str, Any]) -> RecordRef | None:
    what, who = record["What_Id"], record["Who_Id"]
    if what:
        return RecordRef(kind=_PLACES[record["$se_module"]], id=what["id"])
    return RecordRef(kind=RecordKind.CONTACT, id=who["id"]) if who else None


def _owner(record: Mapping[str, Any]) -> UserId:
    return UserId(record["Owner"]["id"])


def _filled(record: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(str(record[name]) for name in names if record.get(name))


@contextmanager
def _serve() -> Iterator[_Account]:
    with serve(Sandbox(SandboxConfig())) as (sandbox, url):
        yield _Account(sandbox, url)


OUTFIT = SinkOutfit(sink=ZohoSink(), serve=_serve)
