"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, SecretStr

from hub.core.plan import CreateDeal
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import ConnectionContext, OAuthGrant, Write
from hub.testing.outfit import DEEDS, Fault, Held, SinkOutfit

from .config import AmoCrmSettings
from .sandbox import Sandbox, SandboxConfig, Switches, serve
from .sandbox.config import CLIENT_ID, CLIENT_SECRET
from .sink import AmoCrmSink

__all__ = ["OUTFIT"]

_WORDS = {
    RecordKind.CONTACT: "contacts",
    RecordKind.COMPANY: "companies",
    RecordKind.DEAL: "leads",
    RecordKind.TASK: "tasks",
    RecordKind.NOTE: "notes",
}
_KINDS = {word: kind for kind, word in _WORDS.items()}
_REDIRECT = "http://127.0.0.1:8000/oauth/amocrm/callback"
_FAULTS: Mapping[Fault, dict[str, Any]] = {
    Fault.THROTTLED: {"kind": "throttle"},
    Fault.FAILED: {"status": 502},
    Fault.CUT: {"kind": "disconnect", "applied": False},
    Fault.LOST: {"kind": "disconnect", "applied": True},
}


class _Account:
    """One amoCRM account as `hub.testing.outfit.CrmStage` and `RotatesTokens`."""

    deeds = DEEDS
    hosts: Mapping[str, tuple[RecordKind, ...]] = {}
    renews_after = timedelta(hours=13)
    expires_after = timedelta(hours=25)

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self._sandbox, self._url = sandbox, url

    def reset(self) -> None:
        self._sandbox.reset()
        self._sandbox.switch(limit_per_second=None, search_lag_seconds=0.0, auto_consent=False)

    def settings(self, *, page_size: int | None = None) -> BaseModel:
        paged = {} if page_size is None else {"page_size": page_size, "events_page_size": page_size, "page_window": 3}
        token = SecretStr(self._sandbox.long_lived_token())
        return AmoCrmSettings(address=self._url, long_lived_token=token, is_loopback_allowed=True, **paged)

    async def connect(self, context: ConnectionContext) -> BaseModel:
        return context.settings

    async def connect_by_oauth(self, context: ConnectionContext) -> BaseModel:
        settings = AmoCrmSettings(
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            consent_address=f"{self._url}/oauth",
            is_loopback_allowed=True,
        )
        sink = AmoCrmSink()
        self._sandbox.switch(auto_consent=True)
        answer = await context.http.get(sink.consent_url(settings, _REDIRECT, "st4te"))
        self._sandbox.switch(auto_consent=False)
        query = {name: found[0] for name, found in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        grant = OAuthGrant(code=query["code"], redirect_uri=_REDIRECT, parameters=query)
        return await sink.exchange(replace(context, settings=settings), grant)

    def refreshes(self) -> int:
        asked = self._sandbox.requests()
        # the first pair came for the code
        return sum(1 for one in asked if one["path"] == "/oauth2/access_token") - 1

    # --- looking

    def records(self) -> Sequence[Held]:
        found = self._sandbox.records()
        return [
            _held(kind, record)
            for kind, word in _WORDS.items()
            for record in found[word]
            if not record.get("is_deleted")
        ]

    def requests(self) -> int:
        return len(self._sandbox.requests())

    # --- trouble

    def fail_next(self, write: Write | None, fault: Fault, count: int = 1) -> None:
        method, path = ("GET", "/api/v4/") if write is None else _request(write)
        self._sandbox.fail_next(method, path, count=count, exact=write is not None, **_FAULTS[fault])

    def spoil(self, write: Write) -> Write | None:
        """A choice that the list field does not offer; a user who left."""
        if write.action.kind == "create_contact":
            return replace(write, fields={"770201": "Нет такого"})
        return replace(write, user=UserId("8800107")) if write.action.kind == "create_task" else None

    def limit(self) -> None:
        self._sandbox.switch(limit_per_second=7)

    def violations(self) -> int:
        return self._sandbox.limiter.violations

    def revoke(self) -> None:
        self._sandbox.disconnect()

    def lag_search(self) -> None:
        self._sandbox.switch(search_lag_seconds=60)

    def advance(self, by: timedelta) -> None:
        self._sandbox.advance(by.total_seconds())

    # --- people at work

    def create_contact(self, name: str, phone: str = "") -> RecordRef:
        return self._make("create_contact", RecordKind.CONTACT, name=name, **({"phone": phone} if phone else {}))

    def create_deal(self, name: str, contact: RecordRef | None = None) -> RecordRef:
        return self._make("create_lead", RecordKind.DEAL, name=name, contact_id=int(contact.id) if contact else None)

    def create_task(self, text: str, on: RecordRef | None = None) -> RecordRef:
        place = {"entity_type": _WORDS[on.kind], "entity_id": int(on.id)} if on else {}
        return self._make("create_task", RecordKind.TASK, text=text, **place)

    def rename(self, ref: RecordRef, name: str) -> None:
        self._sandbox.person("update", entity=_WORDS[ref.kind], id=int(ref.id), name=name)

    def give(self, ref: RecordRef, user: UserId) -> None:
        self._sandbox.person("change_responsible", entity=_WORDS[ref.kind], id=int(ref.id), user_id=int(user))

    def delete(self, ref: RecordRef) -> None:
        self._sandbox.person("delete", entity=_WORDS[ref.kind], id=int(ref.id))

    def merge(self, survivor: RecordRef, loser: RecordRef) -> None:
        self._sandbox.person("merge_contacts", survivor=int(survivor.id), losers=[int(loser.id)])

    def close(self, deal: RecordRef) -> None:
        self._sandbox.person("close_lead", id=int(deal.id), won=False)

    def complete(self, task: RecordRef) -> None:
        self._sandbox.person("complete_task", id=int(task.id))

    def _make(self, action: str, kind: RecordKind, **values: Any) -> RecordRef:
        return RecordRef(kind=kind, id=str(self._sandbox.person(action, **values)["id"]))


def _request(write: Write) -> tuple[str, str]:
    """Method and path of the request that carries ``write``."""
    kind = write.action.kind
    match kind:
        case "create_contact" | "update_contact":
            return ("POST" if kind == "create_contact" else "PATCH"), "/api/v4/contacts"
        case "create_deal":
            if isinstance(write.action, CreateDeal) and write.action.is_unsorted:
                return "POST", "/api/v4/leads/unsorted/sip"
            return "POST", "/api/v4/leads/complex" if write.with_contact else "/api/v4/leads"
        case "update_deal":
            return "PATCH", "/api/v4/leads"
        case "create_task" | "update_task" | "complete_task":
            return ("POST" if kind == "create_task" else "PATCH"), "/api/v4/tasks"
        case "record_call" | "add_note":
            return "POST", f"/api/v4/{_WORDS[write.refs['on'].kind]}/notes"
    return "POST", "/api/v2/events"


def _held(kind: RecordKind, record: Mapping[str, Any]) -> Held:
    ref = RecordRef(kind=kind, id=str(record["id"]))
    responsible = UserId(str(record["responsible_user_id"]))
    if kind is RecordKind.NOTE:
        params = record["params"] or {}
        on = RecordRef(kind=_KINDS[record["entity_type"]], id=str(record["entity_id"]))
        return Held(ref=ref, name=str(params.get("text") or ""), on=on, uniq=str(params.get("uniq") or ""))
    if kind is RecordKind.TASK:
        place = record["entity_type"]
        on_task = RecordRef(kind=_KINDS[place], id=str(record["entity_id"])) if place else None
        return Held(
            ref=ref, name=record["text"], responsible=responsible, is_open=not record["is_completed"], on=on_task
        )
    if kind is RecordKind.DEAL:
        return Held(
            ref=ref,
            name=record["name"],
            responsible=responsible,
            is_open=record["status_id"] not in (142, 143),
            contact_ids=tuple(str(one["id"]) for one in record["_embedded"]["contacts"]),
            price=float(record["price"] or 0),
            stage_id=str(record["status_id"]),
        )
    return Held(
        ref=ref,
        name=record["name"],
        phones=_values(record, "PHONE"),
        emails=_values(record, "EMAIL"),
        responsible=responsible,
    )


def _values(record: Mapping[str, Any], code: str) -> tuple[str, ...]:
    return tuple(
        str(value["value"])
        for found in record["custom_fields_values"] or ()
        if found["field_code"] == code
        for value in found["values"]
    )


@contextmanager
def _serve() -> Iterator[_Account]:
    with serve(Sandbox(SandboxConfig(switches=Switches(limit_per_second=None)))) as (sandbox, url):
        yield _Account(sandbox, url)


OUTFIT = SinkOutfit(sink=AmoCrmSink(), serve=_serve)
