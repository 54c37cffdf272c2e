"""One sandbox organisation over loopback, and the plugin connected to it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from hub_zoho.config import ZohoSettings
from hub_zoho.sandbox import Sandbox, serve
from hub_zoho.session import ZohoSession
from hub_zoho.sink import ZohoSink
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import Action, AddNote, CreateContact, CreateDeal, CreateTask, Reason, RecordCall, StepKey
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import Applied, ConnectionContext, Done, Write
from hub.testing.crm_bench import MemoryState

#: loopback needs none, and loading them takes longer than most tests
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WHY = Reason(code="test")
IRYNA, OLEH, ANNA = (UserId(f"572576700000041100{number}") for number in (1, 2, 3))
GONE = UserId("5725767000000411009")
CLIENT = Phone("+380671230001")
LEADS, DEALS = "Leads", "Standard (Standard)"
NEW_LEAD, QUALIFIED = f"{LEADS}/-None-", f"{DEALS}/Qualification"


@dataclass(slots=True)
class Office:
    """An organisation with the plugin connected: what a test needs to write and to look."""

    sandbox: Sandbox
    url: str
    context: ConnectionContext
    state: MemoryState
    sink: ZohoSink
    session: ZohoSession
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def write(self, action: Action, **more: Any) -> Write:
        """A step as the account writer hands it over, sent just now."""
        hub_id = f"h{next(self.numbers):05d}"
        return Write(key=action.key, action=action, hub_id=hub_id, sent_at=datetime.now(UTC), **more)

    def contact(self, name: str = "Ольга", phone: Phone = CLIENT, **more: Any) -> Write:
        action = CreateContact(key=self.key("contact"), name=name, phones=(phone,), reason=WHY)
        return self.write(action, **more)

    def deal(self, name: str = "Звонок", **more: Any) -> Write:
        return self.write(CreateDeal(key=self.key("deal"), name=name, reason=WHY), **more)

    def lead(self, name: str = "Ольга Белая", phone: Phone = CLIENT, **more: Any) -> Write:
        """A new client's enquiry: contact and deal in one request."""
        contact = self.contact(name, phone, user=more.get("user"))
        return self.deal(with_contact=contact, pipeline_id=LEADS, stage_id=NEW_LEAD, **more)

    def task(self, text: str = "Перезвонить", *, on: RecordRef | None = None, **more: Any) -> Write:
        due = datetime(2030, 1, 1, 10, tzinfo=UTC)
        action = CreateTask(
            key=self.key("task"), task="call_back", text=text, on=on, assignee=None, due_at=due, reason=WHY
        )
        return self.write(action, refs={"on": on} if on else {}, **more)

    def call(self, on: RecordRef, uniq: str = "ru-1", **more: Any) -> Write:
        action = RecordCall(
            key=self.key("call"),
            on=on,
            uniq=uniq,
            direction=Direction.INBOUND,
            disposition=Disposition.ANSWERED,
            phone=CLIENT,
            started_at=datetime.now(UTC) - timedelta(minutes=2),
            talk_seconds=125,
            recording="https://rec.example/1.mp3",
            source="Ringostat",
            reason=WHY,
        )
        return self.write(action, refs={"on": on}, **more)

    def note(self, on: RecordRef, text: str = "Оставил сообщение") -> Write:
        return self.write(AddNote(key=self.key("note"), on=on, text=text, reason=WHY), refs={"on": on})

    def key(self, word: str) -> StepKey:
        return StepKey(f"i{next(self.numbers)}/{word}")

    async def made(self, write: Write) -> RecordRef:
        """Apply ``write``; the record that it made."""
        return record_of((await self.session.apply([write]))[write.key])

    def person(self, action: str, **values: Any) -> str:
        """Something that a person does in the CRM; the record's id."""
        return str(self.sandbox.person(action, **values).get("id", ""))

    def someone(self, module: str = "Contacts", phone: str = CLIENT, **values: Any) -> str:
        """A person adds a card."""
        stock = {"Company": "-"} if module == "Leads" else {}
        return self.person("create", module=module, **{"Last_Name": "Белая", "Phone": phone} | stock | values)

    def sale(self, contact_id: str, **values: Any) -> str:
        """A person adds a deal."""
        stock = {"Deal_Name": "Чай", "Stage": "Qualification", "Pipeline": DEALS, "Closing_Date": "2030-01-01"}
        return self.person("create", module="Deals", Contact_Name={"id": contact_id}, **stock | values)

    def records(self, module: str) -> list[dict[str, Any]]:
        return self.sandbox.records()[module]

    def asked(self, method: str = "", path: str = "") -> list[str]:
        """The requests that the sandbox saw, as "METHOD path"."""
        seen = [f"{r['method']} {r['path']}" for r in self.sandbox.requests()]
        return [line for line in seen if line.startswith(method) and path in line]

    def with_settings(self, **values: Any) -> Office:
        """The same organisation seen with other settings."""
        settings = self.context.settings.model_copy(update=values)
        context = replace(self.context, settings=settings)
        return replace(self, context=context, session=self.sink.open(context))


def ref(kind: RecordKind, record_id: object) -> RecordRef:
    return RecordRef(kind=kind, id=str(record_id))


def contact_ref(record_id: object) -> RecordRef:
    return ref(RecordKind.CONTACT, record_id)


def deal_ref(record_id: object) -> RecordRef:
    return ref(RecordKind.DEAL, record_id)


def record_of(applied: Applied) -> RecordRef:
    assert isinstance(applied, Done), applied
    assert applied.record is not None
    return applied.record


@pytest.fixture(scope="session")
def vendor() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as served:
        yield served


@asynccontextmanager
async def opened(sandbox: Sandbox, url: str, **more: Any) -> AsyncIterator[Office]:
    """The plugin, connected to ``sandbox`` by a refresh token."""
    credentials = sandbox.oauth.credentials
    settings = ZohoSettings(
        client_id=credentials.client_id,
        client_secret=SecretStr(credentials.client_secret),
        refresh_token=SecretStr(sandbox.refresh_token()),
        accounts_address=url,
        api_address=url,
        is_loopback_allowed=True,
    )
    state, sink = MemoryState(), ZohoSink()
    async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES, timeout=httpx.Timeout(5)) as http:
        context = ConnectionContext(
            project="shop",
            name="zoho",
            settings=settings,
            http=http,
            state=state,
            clock=SystemClock(),
            region="UA",
            **more,
        )
        yield Office(sandbox, url, context, state, sink, sink.open(context))


@pytest.fixture
async def office(vendor: tuple[Sandbox, str]) -> AsyncIterator[Office]:
    sandbox, url = vendor
    sandbox.reset()
    async with opened(sandbox, url) as found:
        yield found
