"""A shop for end-to-end tests: orders in RetailCRM, and, if wanted, amoCRM beside it in the same project (C8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hub_amocrm.sandbox as amocrm
import hub_retailcrm.sandbox as retailcrm

from hub.compose import Hub
from hub.runtime.importer import mark_imported
from hub.runtime.opening import open_account
from hub.settings import Settings
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.projects import Status
from tests.end_to_end.world import CHANNEL, PROJECT, World, preset
from tests.end_to_end.world import USERS as AMOCRM_USERS
from tests.web.conftest import serving

SECRET = "s3cret-of-the-shop"
RETAILCRM_USERS = {"irina": "21", "oleg": "22", "anna": "23"}

#: a test needs no patience
_TIMING = """
[timing]
settle = "200 ms"
doubt_wait = "200 ms"
request_timeout = "2 s"
"""
#: the feedback number of the preset's example is this shop's
POLICY = preset("retailcrm-orders").replace("044 000 00 00", "044 123 00 00") + _TIMING


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """One CRM of the project."""

    name: str
    sandbox: Any
    settings: Mapping[str, Any]
    #: the CRM's users by employee
    users: Mapping[str, str]


@dataclass(slots=True)
class Shop(World):
    """What a test holds in its hands."""

    crms: Mapping[str, Crm] = field(default_factory=dict)

    def holds(self, crm: str) -> Mapping[str, Any]:
        """What one of the CRMs holds."""
        found: Mapping[str, Any] = self.crms[crm].sandbox.records()
        return found

    def calls_of(self, crm: str) -> list[dict[str, Any]]:
        """The call records in one of the CRMs."""
        found = self.holds(crm)
        if "calls" in found:
            return list(found["calls"])
        return [note for note in found["notes"] if note["note_type"] in ("call_in", "call_out")]

    async def forwards(self, caller: str) -> str:
        """The telephony asks before it rings anyone (R2)."""
        async with serving(self.hub.services) as web:
            question = {"call_id": "ua0_-1.1", "caller": caller, "dst": "380441234567"}
            answer = await web.client.post(f"/forward/{PROJECT}/{CHANNEL}/{SECRET}", json=question)
            assert answer.status_code == 200
            return answer.text


@contextmanager
def retail_stand() -> Iterator[Crm]:
    """A fresh RetailCRM."""
    switches = retailcrm.Switches(limit_per_second=None)
    with retailcrm.serve(retailcrm.Sandbox(retailcrm.SandboxConfig(switches=switches))) as (sandbox, address):
        settings = {
            "address": address,
            "api_key": sandbox.api_key,
            "is_loopback_allowed": True,
            # a test needs no patience; the limit has tests of its own
            "requests_per_second": 40,
        }
        yield Crm(name="retailcrm", sandbox=sandbox, settings=settings, users=RETAILCRM_USERS)


@contextmanager
def amo_stand() -> Iterator[Crm]:
    """A fresh amoCRM."""
    with amocrm.serve(amocrm.Sandbox()) as (sandbox, address):
        token = sandbox.long_lived_token()
        settings = {
            "address": address,
            "long_lived_token": token,
            "is_loopback_allowed": True,
            "requests_per_second": 40,
        }
        sandbox.switch(limit_per_second=None)
        yield Crm(name="amocrm", sandbox=sandbox, settings=settings, users=AMOCRM_USERS)


async def _connect(hub: Hub, crms: Sequence[Crm], *, imports: bool) -> None:
    services = hub.services
    store, now = services.store, services.clock.now()
    for crm in crms:

        def add(conn: Any, row: Crm = crm) -> None:
            projects.add_connection(
                conn, services.cipher, project=PROJECT, name=row.name, sink=row.name, settings=row.settings, now=now
            )

        await store.write(add)
    await services.projects.reload()
    project = services.projects.get(PROJECT)
    for crm in crms:
        connection = project.connection(crm.name)
        assert connection is not None
        account = open_account(services, project, connection)
        try:
            catalogue = await account.session.connect()
            if imports:
                # in this process: a child of its own takes seconds to start
                async for page in account.session.import_all(""):
                    await account.fold(page, services.clock.now())
        finally:
            await account.close()

        def keep(conn: Any, crm: Crm = crm, catalogue: Any = catalogue) -> None:
            projects.set_catalogue(conn, PROJECT, crm.name, catalogue, now)
            people = [Binding(kind="employee", name=who, value=user) for who, user in crm.users.items()]
            bindings.put(conn, PROJECT, crm.name, people)
            projects.set_status(conn, PROJECT, crm.name, Status.READY, now=now)
            projects.set_import(conn, PROJECT, crm.name, cursor="", progress=1.0, finished_at=now)

        await store.write(keep)
        mark_imported(services.directory, PROJECT, crm.name, now)
    await services.projects.reload()


@asynccontextmanager
async def shop(
    tmp_path: Path, *crms: Crm, policy: str = POLICY, imports: bool = False, public_url: str = ""
) -> AsyncIterator[Shop]:
    """A running hub beside its CRMs, the first of which is the main one.

    The accounts count as imported, since they are empty; with ``imports`` they are read first.
    """
    settings = Settings(environment="development", data_directory=tmp_path / "var", public_url=public_url)
    hub = Hub(settings)
    services = hub.services
    order = "".join(f'\n[[crm]]\nname = "{crm.name}"\n' for crm in crms)
    text, now = policy + order, services.clock.now()

    def begin(conn: Any) -> None:
        projects.add_project(conn, PROJECT, now=now, mode="live")
        policies.publish(conn, PROJECT, text=text, author="test", based_on=None, now=now)
        projects.add_channel(
            conn,
            services.cipher,
            project=PROJECT,
            name=CHANNEL,
            source="ringostat",
            settings={},
            now=now,
            secret=SECRET,
        )

    await services.store.write(begin)
    await _connect(hub, crms, imports=imports)
    async with hub:
        main = crms[0]
        yield Shop(
            hub=hub,
            sandbox=main.sandbox,
            address=str(main.settings["address"]),
            crms={crm.name: crm for crm in crms},
        )
