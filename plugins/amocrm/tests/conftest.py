"""One sandbox account over loopback, and the plugin connected to it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.sandbox import Sandbox, SandboxConfig, Switches, serve
from hub_amocrm.session import AmoCrmSession
from hub_amocrm.sink import AmoCrmSink
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import Action, CreateContact, CreateDeal, CreateTask, Reason, RecordCall, StepKey
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import ConnectionContext, Write
from hub.testing.crm_bench import MemoryState

#: loopback needs none, and loading them takes longer than most tests
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WHY = Reason(code="test")
MARINA = UserId("8800105")
GONE = UserId("8800107")
CLIENT = Phone("+380671234567")


@dataclass(slots=True)
class Office:
    """An account with the plugin connected: what a test needs to write and to look."""

    sandbox: Sandbox
    url: str
    context: ConnectionContext
    state: MemoryState
    sink: AmoCrmSink
    session: AmoCrmSession
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

    def task(self, text: str = "Перезвонить", *, on: RecordRef | None = None, **more: Any) -> Write:
        due = datetime(2030, 1, 1, tzinfo=UTC)
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
            talk_seconds=61,
            recording="https://rec.example/1.mp3",
            source="Ringostat",
            reason=WHY,
        )
        return self.write(action, refs={"on": on}, **more)

    def key(self, word: str) -> StepKey:
        return StepKey(f"i{next(self.numbers)}/{word}")

    def person(self, action: str, **values: Any) -> int:
        """Something that a person does in the CRM; the record's id."""
        return int(self.sandbox.person(action, **values)["id"])

    def records(self, kind: str) -> list[dict[str, Any]]:
        found = self.sandbox.records()[kind]
        return list(found.values()) if isinstance(found, dict) else list(found)

    def asked(self, method: str = "", path: str = "") -> list[str]:
        """The requests that the sandbox saw, as "METHOD path"."""
        seen = [f"{r['method']} {r['path']}" for r in self.sandbox.requests()]
        return [line for line in seen if line.startswith(method) and path in line]

    def with_settings(self, **values: Any) -> Office:
        """The same account seen with other settings."""
        settings = self.context.settings.model_copy(update=values)
        context = replace(self.context, settings=settings)
        return replace(self, context=context, session=self.sink.open(context))


def ref(kind: RecordKind, record_id: object) -> RecordRef:
    return RecordRef(kind=kind, id=str(record_id))


@pytest.fixture(scope="session")
def vendor() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox(SandboxConfig(switches=Switches(limit_per_second=None)))) as served:
        yield served


@pytest.fixture
def sandbox(vendor: tuple[Sandbox, str]) -> Sandbox:
    """The account as it is when new, without a limit of requests."""
    vendor[0].reset()
    vendor[0].switch(limit_per_second=None)
    return vendor[0]


@pytest.fixture
def api(vendor: tuple[Sandbox, str], sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client of the account's API that may do everything."""
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    with httpx.Client(base_url=vendor[1], headers=headers, trust_env=False, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture
async def office(vendor: tuple[Sandbox, str]) -> AsyncIterator[Office]:
    sandbox, url = vendor
    sandbox.reset()
    sandbox.switch(limit_per_second=None, is_api_filter_enabled=True)
    settings = AmoCrmSettings(
        address=url, long_lived_token=SecretStr(sandbox.long_lived_token()), is_loopback_allowed=True
    )
    state, sink = MemoryState(), AmoCrmSink()
    async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES, timeout=httpx.Timeout(5)) as http:
        context = ConnectionContext(
            project="shop",
            name="amo",
            settings=settings,
            http=http,
            state=state,
            clock=SystemClock(),
            region="UA",
        )
        yield Office(sandbox, url, context, state, sink, sink.open(context))
