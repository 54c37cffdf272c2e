"""The sandbox as one object: its application, its switches, its faults, its records."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from . import person, writing
from .config import SandboxConfig, Switches
from .control import control_routes
from .faults import Fault, FaultBook, Kind, fault_from
from .fields import Field
from .gateway import Gateway
from .notifications import Deliverer
from .oauth import OAuth
from .reply import Json
from .world import OWNER, User, World


class Sandbox:
    """A stand-in of the vendor's accounts server and API server for one organisation.

    Every method may be called from any thread while the sandbox is being served.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self._switches = dataclasses.asdict(self.config.switches)
        self.world = World(self.config)
        self.oauth = OAuth(self.world)
        self.faults = FaultBook(self.config.seed)
        self.deliverer = Deliverer(self.world)
        self.gateway = Gateway(self.world, self.oauth, self.faults, self.deliverer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            routes=[Mount("/_sandbox", routes=control_routes(self)), Mount("/", app=self.gateway)],
            lifespan=self._lifespan,
        )

    # --- access -------------------------------------------------------------------------------------------------

    def refresh_token(self, user_id: str = OWNER, scopes: tuple[str, ...] = ()) -> str:
        """What a consent, or a self-client's code, leads to; of the owner unless a user is named."""
        with self.world.lock:
            return self.oauth.grant(user_id, scopes).refresh_token

    def authorization_code(self, redirect_uri: str | None = None) -> str:
        """A one-time code; without an address that of a self-client."""
        with self.world.lock:
            return self.oauth.code(redirect_uri=redirect_uri)

    def revoke(self) -> None:
        """Every token dies."""
        with self.world.lock:
            self.oauth.revoke_all()

    # --- behaviour ----------------------------------------------------------------------------------------------

    def switch(self, **values: Any) -> None:
        """Turn switches: ``sandbox.switch(search_lag_seconds=2, concurrency=None)``."""
        with self.world.lock:
            self.world.switches.update(values)

    def fail_next(
        self,
        method: str,
        path: str,
        *,
        kind: Kind | None = None,
        status: int = 500,
        applied: bool = False,
        count: int = 1,
        delay: float = 0.0,
        late: tuple[float, float] = (0.0, 20.0),
        exact: bool = False,
    ) -> None:
        """Order a fault for the next ``count`` requests of ``method`` whose path begins with ``path``.

        Without ``kind`` the answer is ``status``; see ``Fault`` for the kinds.
        """
        fault = Fault(
            method=method,
            path=path,
            kind=kind or "status",
            count=count,
            status=status,
            applied=applied,
            delay=delay,
            late=late,
            exact=exact,
        )
        with self.world.lock:
            self.faults.order(fault)

    def order_fault(self, values: Json) -> None:
        """The same from JSON."""
        with self.world.lock:
            self.faults.order(fault_from(values))

    def clear_faults(self) -> None:
        """Withdraw every waiting fault and let hanging connections go."""
        with self.world.lock:
            self.faults.clear()
        self.release()

    def release(self) -> None:
        """Let hanging connections go."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(self.gateway.release)

    def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward; returns its new unix seconds."""
        return self.world.clock.advance(seconds)

    def person(self, action: str, **values: Any) -> Json:
        """What a person does in the CRM's pages; see ``person.ACTIONS``. Notifications follow."""
        with self.world.lock:
            try:
                return person.act(self.world, action, values)
            finally:
                self.deliverer.take()

    def add_user(self, **values: Any) -> User:
        """Add an employee: id, first_name, last_name, email …"""
        with self.world.lock:
            user = User(**values)
            self.world.users[user.id] = user
            return user

    def add_field(self, module: str, **values: Any) -> Field:
        """Add a field: api_name, label, type, is_mandatory …"""
        with self.world.lock:
            made = Field(is_custom=True, **values)
            self.world.modules[module].add(made)
            return made

    def drop_field(self, module: str, api_name: str) -> None:
        """Take a field away."""
        with self.world.lock:
            self.world.modules[module].fields.pop(api_name, None)

    def seed(self, contacts: int = 0, leads: int = 0, deals: int = 0) -> Json:
        """Add many records at once, always the same ones; nothing is told of them."""
        with self.world.lock:
            for number in range(contacts):
                phone = f"+38050{number:07d}"
                item = {"Last_Name": f"Client {number}", "Phone": phone}
                made = writing.insert(self.world, "Contacts", item, OWNER)
                if number < deals:
                    deal = {"Deal_Name": f"Deal {number}", "Stage": "Qualification", "Closing_Date": "2030-01-01"}
                    writing.insert(self.world, "Deals", {**deal, "Contact_Name": {"id": made.id}}, OWNER)
            for number in range(leads):
                item = {"Last_Name": f"Lead {number}", "Company": "-", "Phone": f"+38067{number:07d}"}
                writing.insert(self.world, "Leads", item, OWNER)
            self.world.take_notices()
            return {"contacts": contacts, "leads": leads, "deals": deals}

    # --- looking ------------------------------------------------------------------------------------------------

    def records(self) -> dict[str, list[Json]]:
        """Everything the CRM holds, in the API's shapes, by module; converted leads too."""
        with self.world.lock:
            return {
                module: [self.world.show(record) for record in self.world.of(module, converted="both")]
                for module in self.world.modules
            }

    def stats(self) -> Json:
        """Requests by method and path, violations of the limits, faults that struck …"""
        return {
            "requests": dict(self.gateway.counts),
            "requests_total": sum(self.gateway.counts.values()),
            "statuses": dict(self.gateway.statuses),
            "violations": self.gateway.violations,
            "most_in_flight": self.gateway.most_in_flight,
            "credits": self.gateway.credits,
            "refreshes": self.oauth.refreshes,
            "faults": dict(self.faults.struck),
            "faults_waiting": [dataclasses.asdict(fault) for fault in self.faults.waiting],
            "late_waiting": self.gateway.late_waiting,
            "notifications_sent": len(self.deliverer.log),
            "notifications_waiting": self.deliverer.waiting,
        }

    def requests(self) -> list[Json]:
        """The last requests in order of arrival: at (monotonic), method, path, query, status, fault."""
        return list(self.gateway.requests)

    def deliveries(self) -> list[Json]:
        """Notifications: at, address, status, body."""
        return list(self.deliverer.log)

    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""
        self.gateway.forget()
        self.deliverer.forget()
        self.faults.struck.clear()

    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server. Tokens die too."""
        self.settle(at_once=True)
        with self.world.lock:
            self.world.switches.update(dict(self._switches))
            self.world.open()
            self.oauth.open()
            self.faults.open()
            self.reset_stats()
        self.release()

    def default_switches(self) -> Switches:
        """The switches that the sandbox was opened with."""
        return Switches(**self._switches)

    def settle(self, timeout: float = 30.0, *, at_once: bool = False) -> None:
        """Block until late requests are applied and notifications delivered; from another thread.

        ``at_once`` applies late requests now. TimeoutError after ``timeout`` seconds.
        """
        if self._loop is None:
            return
        done = asyncio.run_coroutine_threadsafe(self.settled(at_once=at_once), self._loop)
        done.result(timeout)

    async def settled(self, *, at_once: bool = False) -> None:
        """The same inside the sandbox's own loop."""
        await self.gateway.settle(at_once=at_once)
        await self.deliverer.settle()

    # --- life ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        delivering = asyncio.create_task(self.deliverer.run())
        # the deliverer must be there before the first change
        await asyncio.sleep(0)
        try:
            yield
        finally:
            await self.gateway.close()
            self._loop = None
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
