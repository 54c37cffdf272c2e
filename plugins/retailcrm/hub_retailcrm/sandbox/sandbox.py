"""The sandbox as one object: its application, its switches, its faults, its records (H10)."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from . import person
from .account import Key
from .config import SandboxConfig
from .control import control_routes
from .faults import Fault, FaultBook, Kind, fault_from
from .gateway import Gateway
from .limiter import Limiter
from .listing import shown
from .reply import Json
from .world import KINDS, World


class Sandbox:
    """A stand-in of the vendor's server for one account. Its methods may be called from any thread."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.world = World(self.config)
        self.limiter = Limiter(lambda: self.world.switches)
        self.faults = FaultBook(self.config.seed)
        self.gateway = Gateway(self.world, self.limiter, self.faults)
        self._loop: asyncio.AbstractEventLoop | None = None
        routes = [Mount("/_sandbox", routes=control_routes(self)), Mount("/", app=self.gateway)]
        self.app = Starlette(routes=routes, lifespan=self._lifespan)

    # --- access -------------------------------------------------------------------------------------------------

    @property
    def api_key(self) -> str:
        """The key that the account opened with."""
        return self.config.account.key.value

    def add_key(self, value: str, **more: Any) -> Key:
        """Another key: ``scopes``, ``sites``."""
        with self.world.lock:
            made = self.world.keys[value] = Key(value=value, **more)
            return made

    def revoke_key(self, value: str = "") -> None:
        """The administrator deletes a key."""
        with self.world.lock:
            self.world.keys.pop(value or self.api_key, None)

    # --- behaviour ----------------------------------------------------------------------------------------------

    def switch(self, **values: Any) -> None:
        """Turn switches: ``sandbox.switch(history_lag_seconds=2, limit_per_second=None)``."""
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
    ) -> None:
        """Order a fault for the next ``count`` requests of ``method`` whose path begins with ``path``; see `Fault`."""
        fault = Fault(
            method=method,
            path=path,
            kind=kind or "status",
            status=status,
            applied=applied,
            count=count,
            delay=delay,
            late=late,
        )
        with self.world.lock:
            self.faults.waiting.append(fault)

    def order_fault(self, values: Json) -> None:
        """The same from JSON."""
        with self.world.lock:
            self.faults.waiting.append(fault_from(values))

    def clear_faults(self) -> None:
        """Withdraw every waiting fault and let held connections go."""
        with self.world.lock:
            self.faults.waiting.clear()
        self.release()

    def release(self) -> None:
        """Let held connections go."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(self.gateway.release)

    def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward."""
        return self.world.clock.advance(seconds)

    def person(self, action: str, **values: Any) -> Json:
        """What a person does in the CRM's pages; see `person.DEEDS`."""
        with self.world.lock:
            return copy.deepcopy(person.act(self.world, action, values))

    # --- looking ------------------------------------------------------------------------------------------------

    def records(self) -> Json:
        """Everything that the CRM holds, in the API's shapes."""
        world = self.world
        with world.lock:
            found: Json = {kind: [shown(record) for record in world.records[kind].values()] for kind in KINDS}
            found |= {
                "notes": list(world.notes.values()),
                "calls": list(world.calls.values()),
                "events": world.call_events,
                "popups": world.popups,
                "notifications": world.notices,
                "modules": world.modules,
                "client_ids": world.client_ids,
            }
            return copy.deepcopy(found)

    def stats(self) -> Json:
        """Requests by method and path, violations of the limit, faults that struck."""
        return {
            "requests": dict(self.gateway.counts),
            "requests_total": sum(self.gateway.counts.values()),
            "statuses": dict(self.gateway.statuses),
            "violations": self.limiter.violations,
            "most_in_a_second": self.limiter.most_in_a_second,
            "faults": dict(self.faults.struck),
            "faults_waiting": [dataclasses.asdict(fault) for fault in self.faults.waiting],
            "late_waiting": self.gateway.late_waiting,
        }

    def requests(self) -> list[Json]:
        """The last requests in order of arrival: at (monotonic), method, path, query, status, fault."""
        return list(self.gateway.requests)

    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""
        for counted in (self.gateway.counts, self.gateway.statuses, self.gateway.requests, self.faults.struck):
            counted.clear()
        self.limiter.reset()

    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server; switches stay."""
        self.settle(at_once=True)
        with self.world.lock:
            self.world.open()
            self.faults.open()
            self.reset_stats()
        self.release()

    def settle(self, timeout: float = 30.0, *, at_once: bool = False) -> None:
        """Block until requests that were cut off are applied; ``at_once`` applies them now."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self.gateway.settle(at_once=at_once), self._loop).result(timeout)

    # --- life ---------------------------------------------------------------------------------------------------

    def save(self, file: Path) -> None:
        """Write the whole state to a file, which appears whole or not at all."""
        with self.world.lock:
            text = json.dumps(self.world.dump(), ensure_ascii=False)
        fresh = file.with_name(f"{file.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)

    def load(self, file: Path) -> None:
        """Take up the state of a file written by `save`. ValueError if it is none."""
        state = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(state, dict) or "records" not in state:
            raise ValueError(f"{file} is no state of this sandbox")
        with self.world.lock:
            self.world.take_up(state)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            await self.gateway.close()
            self._loop = None
