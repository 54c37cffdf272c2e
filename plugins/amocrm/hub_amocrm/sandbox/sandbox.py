"""The sandbox as one object: its application, its switches, its faults, its records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from hub_sandbox import CrmSandbox, FaultBook, serve_app

from . import person, seeding, statefile
from .account import Field, Pipeline, User, pipeline
from .config import Integration, SandboxConfig
from .control import control_routes
from .delivery import Deliverer
from .gateway import AmoGateway
from .limiter import Limiter
from .oauth import OAuth
from .records import dump
from .reply import Json
from .world import World


class Sandbox(CrmSandbox[World, AmoGateway]):
    """A stand-in of the vendor's server for one account.

    Every method may be called from any thread while the sandbox is being served.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        world = World(self.config)
        self.oauth = OAuth(world)
        self.limiter = Limiter(lambda: world.switches)
        self.deliverer = Deliverer(world, self.config.seed)
        gateway = AmoGateway(world, self.oauth, self.limiter, FaultBook(self.config.seed), self.deliverer)
        super().__init__(world, gateway, control_routes(self))

    # -- access ---------------------------------------------------------------------------------

    @property
    def integration(self) -> Integration:
        """The integration that the account opened with."""
        return next(iter(self.oauth.integrations.values()))

    def long_lived_token(self, user_id: int | None = None) -> str:
        """A token from the integration's card; of the account's owner unless a user is named."""
        with self.world.lock:
            return self.oauth.issue_long_lived(user_id=user_id)

    def authorization_code(self, user_id: int | None = None) -> str:
        """A one-time code, as the consent page hands out."""
        with self.world.lock:
            return self.oauth.issue_code(self.integration.client_id, user_id)

    def token_pair(self, user_id: int | None = None) -> Json:
        """What the token endpoint would answer: ``access_token``, ``refresh_token`` …"""
        with self.world.lock:
            return self.oauth.issue_pair(user_id=user_id)

    def disposable_token(self, audience: str, user_id: int | None = None) -> str:
        """The JWT that the account's pages send to an integration (X-Auth-Token)."""
        return self.oauth.issue_disposable(audience, user_id)

    def log_in(self, user_id: int) -> str:
        """The value of the cookie ``session_id`` by which the account's pages know the person."""
        with self.world.lock:
            return self.gateway.front_end.log_in(user_id)

    def install_widget(self, code: str, **record: Any) -> Json:
        """Put a widget into the account, or change its record: path, installed_version, settings, active …"""
        with self.world.lock:
            known = self.gateway.front_end.widgets
            fresh = {"id": 9000 + len(known), "code": code, "active": "Y", "status": "installed", "settings": {}}
            known[code] = {**known.get(code, fresh), **record}
            return known[code]

    def remove_widget(self, code: str) -> None:
        """Take a widget out of the account."""
        with self.world.lock:
            self.gateway.front_end.widgets.pop(code, None)

    def set_integration(self, **values: Any) -> Integration:
        """Change or add an integration: client_id, client_secret, redirect_uri, disconnect_url."""
        with self.world.lock:
            client_id = values.get("client_id", self.integration.client_id)
            known = self.oauth.integrations.get(client_id)
            if known is None:
                known = self.oauth.integrations[client_id] = Integration(**values)
            for name, value in values.items():
                if name not in Integration.__slots__:
                    raise ValueError(f"an integration has no {name!r}")
                setattr(known, name, value)
            return known

    def disconnect(self, client_id: str | None = None) -> str | None:
        """Switch the integration off: tokens and webhooks die. Returns the hook's signed address."""
        client_id = client_id or self.integration.client_id
        with self.world.lock:
            self.oauth.revoke_all(client_id)
            owners = self.world.webhook_owners
            for destination in [d for d, owner in owners.items() if owner == client_id]:
                self.world.webhooks.pop(destination, None)
            return self.oauth.disconnect_address(client_id)

    # -- behaviour ------------------------------------------------------------------------------

    def lift_ban(self) -> None:
        """What the vendor's support does."""
        self.limiter.lift()

    def person(self, action: str, **values: Any) -> Json:
        """What a person does in the CRM's pages; see ``person.ACTIONS``. Events and webhooks follow."""
        with self.world.lock:
            try:
                return person.act(self.world, action, values)
            finally:
                self.deliverer.take(self.world.journal.take_hooks())

    def add_user(self, **values: Any) -> User:
        """Add an employee: id, name, email …"""
        with self.world.lock:
            user = User(**values)
            self.world.users[user.id] = user
            return user

    def add_pipeline(self, pipeline_id: int, name: str, *stages: str) -> Pipeline:
        """Add a pipeline with these stages, one for incoming leads, won and lost."""
        with self.world.lock:
            made = pipeline(pipeline_id, name, *stages)
            self.world.pipelines[made.id] = made
            return made

    def add_field(self, **values: Any) -> Field:
        """Add a custom field: entity, name, type, code …"""
        with self.world.lock:
            fresh = {"id": self.world.ids.next("fields")} | values
            return self.world.fields.add(Field(**fresh))

    def seed(self, contacts: int = 0, leads: int = 0) -> Json:
        """Add many contacts and leads at once, always the same ones; no events, no webhooks."""
        with self.world.lock:
            return seeding.seed(self.world, contacts, leads)

    # -- looking --------------------------------------------------------------------------------

    def records(self, *, seeded: bool = False) -> Json:
        """Everything the CRM holds, in the API's shapes; untouched seeded records only on demand."""
        with self.world.lock:
            return dump(self.world, seeded=seeded)

    def stats(self) -> Json:
        """Requests by method and path, violations of the limit, faults that struck …"""
        return {
            **self.traffic(),
            "violations": self.limiter.violations,
            "most_in_a_second": self.limiter.most_in_a_second,
            "banned": self.limiter.banned,
            "webhooks_sent": len(self.deliverer.log),
            "webhooks_waiting": self.deliverer.waiting,
            "webhook_repeats_waiting": self.deliverer.repeats_waiting,
        }

    def deliveries(self) -> list[Json]:
        """Webhook attempts: at, destination, attempt, status, body."""
        return list(self.deliverer.log)

    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""
        self.gateway.forget()
        self.deliverer.log.clear()
        self.faults.struck.clear()
        self.limiter.reset()

    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server. Tokens die too."""
        self.settle(at_once=True)
        with self.world.lock:
            self.world.open()
            self.oauth.open()
            self.gateway.front_end.open()
            self.faults.open()
            self.deliverer.forget()
            self.reset_stats()
        self.release()

    async def settled(self, *, at_once: bool = False) -> None:
        """The same inside the sandbox's own loop; due webhooks are delivered too."""
        await super().settled(at_once=at_once)
        await self.deliverer.settle()

    # -- life -----------------------------------------------------------------------------------

    def save(self, file: Path) -> None:
        """Write the whole state to a file."""
        with self.world.lock:
            statefile.save(self.world, self.oauth, file)

    def load(self, file: Path) -> None:
        """Take up the state of a file written by ``save``."""
        with self.world.lock:
            statefile.load(self.world, self.oauth, file)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        stopped = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.deliverer.run(stopped))
            try:
                yield
            finally:
                stopped.set()


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """Serve the sandbox from a thread: ``with serve(Sandbox()) as (sandbox, base_url):``."""
    with serve_app(sandbox.app, port=port, before_stop=sandbox.release) as address:
        yield sandbox, address
