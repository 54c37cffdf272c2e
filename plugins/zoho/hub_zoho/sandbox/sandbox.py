"""The sandbox as one object: its application, its switches, its faults, its records."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from hub_sandbox import CrmSandbox, FaultBook, serve_app

from . import person, writing
from .config import SandboxConfig, Switches
from .control import control_routes
from .fields import Field
from .gateway import ZohoGateway
from .notifications import Deliverer
from .oauth import OAuth
from .reply import Json
from .world import OWNER, User, World


class Sandbox(CrmSandbox[World, ZohoGateway]):
    """A stand-in of the vendor's accounts server and API server for one organisation.

    Every method may be called from any thread while the sandbox is being served.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self._switches = dataclasses.asdict(self.config.switches)
        world = World(self.config)
        self.oauth = OAuth(world)
        self.deliverer = Deliverer(world)
        gateway = ZohoGateway(world, self.oauth, FaultBook(self.config.seed), self.deliverer)
        super().__init__(world, gateway, control_routes(self))

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
            **self.traffic(),
            "violations": self.gateway.violations,
            "most_in_flight": self.gateway.most_in_flight,
            "credits": self.gateway.credits,
            "refreshes": self.oauth.refreshes,
            "notifications_sent": len(self.deliverer.log),
            "notifications_waiting": self.deliverer.waiting,
        }

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

    async def settled(self, *, at_once: bool = False) -> None:
        """The same inside the sandbox's own loop; notifications are delivered too."""
        await super().settled(at_once=at_once)
        await self.deliverer.settle()

    # --- life ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        delivering = asyncio.create_task(self.deliverer.run())
        # the deliverer must be there before the first change
        await asyncio.sleep(0)
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """Serve the sandbox from a thread: ``with serve(Sandbox()) as (sandbox, base_url):``."""
    with serve_app(sandbox.app, port=port, before_stop=sandbox.release) as address:
        yield sandbox, address
