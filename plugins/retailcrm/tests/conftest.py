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
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.sandbox import Sandbox, SandboxConfig, Switches, serve
from hub_retailcrm.session import RetailCrmSession
from hub_retailcrm.sink import RetailCrmSink
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.core.plan import Action, Reason, StepKey
from hub.core.records import RecordKind, RecordRef
from hub.ports import Changes, ConnectionContext, Write
from hub.testing.crm_bench import MemoryState, MovingClock

WHY = Reason(code="test")


@dataclass(slots=True)
class Office:
    """An account with the plugin connected: what a test needs to write and to look."""

    sandbox: Sandbox
    url: str
    context: ConnectionContext
    session: RetailCrmSession
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def key(self, word: str = "step") -> StepKey:
        return StepKey(f"i{next(self.numbers)}/{word}")

    def write(self, action: Action, **more: Any) -> Write:
        """A step as the account writer hands it over, sent just now."""
        refs = {
            name: found
            for name in ("contact", "deal", "on", "task", "company")
            if isinstance(found := getattr(action, name, None), RecordRef)
        }
        known = {"refs": refs, "sent_at": datetime.now(UTC), "hub_id": f"hub-{next(self.numbers):05d}", **more}
        return Write(key=action.key, action=action, **known)

    def person(self, action: str, **values: Any) -> int:
        """Something that a person does in the CRM; the record's id."""
        return int(self.sandbox.person(action, **values).get("id", 0))

    def records(self, kind: str) -> list[dict[str, Any]]:
        return list(self.sandbox.records()[kind])

    def asked(self) -> list[str]:
        """The requests that the sandbox saw, as "METHOD path"."""
        return [f"{one['method']} {one['path'].removeprefix('/api/v5')}" for one in self.sandbox.requests()]

    def with_settings(self, **values: Any) -> Office:
        """The same account seen with other settings, by a session that has to look at it anew."""
        settings = RetailCrmSettings.model_validate(self.context.settings.model_dump() | values)
        context = replace(self.context, settings=settings, state=MemoryState())
        return replace(self, context=context, session=RetailCrmSink().open(context))

    def with_wrong_clock(self, ahead: timedelta) -> Office:
        """The same account seen by a machine whose clock is ``ahead``, which shows once the account has answered."""
        clock = MovingClock()
        clock.offset = ahead
        context = replace(
            self.context, clock=clock, state=MemoryState(), lead=lambda: ahead if self.asked() else timedelta()
        )
        return replace(self, context=context, session=RetailCrmSink().open(context))

    async def changes(self, cursor: str) -> list[Changes]:
        return [page async for page in self.session.changes(cursor)]


def ref(kind: RecordKind, record_id: object) -> RecordRef:
    return RecordRef(kind=kind, id=str(record_id))


@pytest.fixture(scope="session")
def vendor() -> Iterator[tuple[Sandbox, str]]:
    config = SandboxConfig(switches=Switches(limit_per_second=None, telephony_per_second=None))
    with serve(Sandbox(config)) as served:
        yield served


@pytest.fixture
async def office(vendor: tuple[Sandbox, str]) -> AsyncIterator[Office]:
    sandbox, url = vendor
    sandbox.reset()
    sandbox.switch(limit_per_second=None, telephony_per_second=None, history_lag_seconds=0.0, account_is_gone=False)
    settings = RetailCrmSettings(address=url, api_key=SecretStr(sandbox.api_key), is_loopback_allowed=True)
    # loopback needs no certificates, and loading them takes longer than most tests
    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(trust_env=False, verify=no_certificates, timeout=httpx.Timeout(5)) as http:
        context = ConnectionContext(
            project="shop",
            name="retail",
            settings=settings,
            http=http,
            state=MemoryState(),
            clock=SystemClock(),
            region="UA",
            public_url="https://hub.example.net",
        )
        yield Office(sandbox, url, context, RetailCrmSink().open(context))
