"""The sandbox as one object: its application, its switches, its faults, its records."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from . import person, seeding, statefile
from .account import Field, Pipeline, User, pipeline
from .config import Integration, SandboxConfig
from .control import control_routes
from .delivery import Deliverer
from .faults import Fault, FaultBook, Kind, fault_from
from .gateway import Gateway
from .limiter import Limiter
from .oauth import OAuth
from .records import dump
from .reply import Json
from .world import World


class Sandbox:
    """A stand-in of the vendor's server for one account.

    Every method may be called from any thread while the sandbox is being served.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.world = World(self.config)
        self.oauth = OAuth(self.world)
        self.limiter = Limiter(lambda: self.world.switches)
        self.faults = FaultBook(self.config.seed)
        self.deliverer = Deliverer(self.world, self.config.seed)
        self.gateway = Gateway(self.world, self.oauth, self.limiter, self.faults, self.deliverer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            routes=[
                Mount("/_sandbox", routes=control_routes(self)),
                Mount("/", app=self.gateway),
            ],
            lifespan=self._lifespan,
        )

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

    def switch(self, **values: Any) -> None:
        """Turn switches: ``sandbox.switch(search_lag_seconds=2, limit_per_second=None)``."""
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

    def lift_ban(self) -> None:
        """What the vendor's support does."""
        self.limiter.lift()

    def release(self) -> None:
        """Let hanging connections go."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(self.gateway.release)

    def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward; returns its new unix seconds."""
        return self.world.clock.advance(seconds)

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
            "requests": dict(self.gateway.counts),
            "requests_total": sum(self.gateway.counts.values()),
            "statuses": dict(self.gateway.statuses),
            "violations": self.limiter.violations,
            "most_in_a_second": self.limiter.most_in_a_second,
            "banned": self.limiter.banned,
            "faults": dict(self.faults.struck),
            "faults_waiting": [dataclasses.asdict(fault) for fault in self.faults.waiting],
            "late_waiting": self.gateway.late_waiting,
            "webhooks_sent": len(self.deliverer.log),
            "webhooks_waiting": self.deliverer.waiting,
            "webhook_repeats_waiting": self.deliverer.repeats_waiting,
        }

    def requests(self) -> list[Json]:
        """The last requests in order of arrival: at (monotonic), method, path, query, status, fault."""
        return list(self.gateway.requests)

    def deliveries(self) -> list[Json]:
        """Webhook attempts: at, destination, attempt, status, body."""
        return list(self.deliverer.log)

    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""
        self.gateway.counts.clear()
        self.gateway.statuses.clear()
        self.gateway.requests.clear()
        self.deliverer.log.clear()
        self.faults.struck.clear()
        self.limiter.reset()

    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server. Tokens die too."""
        self.settle(at_once=True)
        with self.world.lock:
            self.world.open()
            self.oauth.open()
            self.faults.open()
            self.deliverer.forget()
            self.reset_stats()
        self.release()

    def settle(self, timeout: float = 30.0, *, at_once: bool = False) -> None:
        """Block until late requests are applied and due webhooks delivered; from another thread.

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
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.deliverer.run(stopped))
            try:
                yield
            finally:
                await self.gateway.close()
                self._loop = None
                stopped.set()
