"""A CRM's sandbox as one object: what all of them let be ordered and looked at."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from .control import crm_controls
from .faults import Fault, Kind
from .gateway import Entry, Gateway
from .switches import CrmSwitches

__all__ = ["CrmSandbox", "CrmWorld"]


class Clock(Protocol):
    """Unix seconds that go forward on order."""

    def now(self) -> float: ...

    def advance(self, seconds: float) -> float: ...


class CrmWorld(Protocol):
    """What a CRM's sandbox holds; everything that reads or changes it holds ``lock``."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...

    @property
    def switches(self) -> CrmSwitches: ...

    @property
    def clock(self) -> Clock: ...


W = TypeVar("W", bound=CrmWorld)
G = TypeVar("G", bound=Gateway[Any, Any])


class CrmSandbox(ABC, Generic[W, G]):
    """A stand-in of a vendor's server. Every method may be called from any thread while it is being served.

    ``controls`` (what only this vendor has) and `crm_controls` are served below ``/_sandbox``, the vendor's server
    everywhere else.
    """

    def __init__(self, world: W, gateway: G, controls: Sequence[BaseRoute] = ()) -> None:
        self.world, self.gateway, self.faults = world, gateway, gateway.faults
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            routes=[Mount("/_sandbox", routes=[*controls, *crm_controls(self)]), Mount("/", app=gateway)],
            lifespan=self._lifespan,
        )

    # --- what the vendor has --------------------------------------------------------------------------------------

    @abstractmethod
    def records(self) -> dict[str, Any]:
        """Everything that the CRM holds, in the API's shapes."""

    @abstractmethod
    def person(self, action: str, **values: Any) -> Any:
        """What a person does in the CRM's pages. ValueError for what cannot be done there."""

    @abstractmethod
    def stats(self) -> dict[str, Any]:
        """`traffic`, and what this vendor counts besides."""

    @abstractmethod
    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""

    @abstractmethod
    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server. Tokens die too."""

    # --- behaviour ------------------------------------------------------------------------------------------------

    def switch(self, **values: Any) -> None:
        """Turn switches: ``sandbox.switch(search_lag_seconds=2, latency_ms=(50, 400))``."""
        with self.world.lock:
            self.world.switches.update(values)

    def fail_next(self, method: str, path: str, *, kind: Kind | None = None, **how: Any) -> None:
        """Order a fault for the next ``count`` requests of ``method`` whose path begins with ``path``.

        Without ``kind`` the answer is ``status``; ``how`` is the rest of `Fault`.
        """
        with self.world.lock:
            self.faults.order(Fault(method=method, path=path, kind=kind or "status", **how))

    def order_fault(self, values: Mapping[str, Any]) -> None:
        """The same from JSON."""
        with self.world.lock:
            self.faults.order(Fault.from_json(values))

    def clear_faults(self) -> None:
        """Withdraw every waiting fault and let held connections go."""
        with self.world.lock:
            self.faults.clear()
        self.release()

    def release(self) -> None:
        """Let held connections go."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(self.gateway.release)

    def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward; returns its new unix seconds."""
        return self.world.clock.advance(seconds)

    # --- looking --------------------------------------------------------------------------------------------------

    def requests(self) -> list[Entry]:
        """The last requests in order of arrival: at (monotonic), method, path, query, status, fault."""
        return list(self.gateway.requests)

    def traffic(self) -> dict[str, Any]:
        """Requests by method and path, and the faults among them: every sandbox's statistics begin with these."""
        return {
            "requests": dict(self.gateway.counts),
            "requests_total": sum(self.gateway.counts.values()),
            "statuses": dict(self.gateway.statuses),
            "faults": dict(self.faults.struck),
            "faults_waiting": [dataclasses.asdict(fault) for fault in self.faults.waiting],
            "late_waiting": self.gateway.late_waiting,
        }

    # --- life -----------------------------------------------------------------------------------------------------

    def settle(self, timeout: float = 30.0, *, at_once: bool = False) -> None:
        """Block until late requests are applied and what they cause is told; from another thread.

        ``at_once`` applies late requests now. TimeoutError after ``timeout`` seconds.
        """
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self.settled(at_once=at_once), self._loop).result(timeout)

    async def settled(self, *, at_once: bool = False) -> None:
        """The same inside the sandbox's own loop."""
        await self.gateway.settle(at_once=at_once)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        async with self.at_work():
            try:
                yield
            finally:
                await self.gateway.close()
                self._loop = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """What runs while the sandbox is served, such as its webhooks out; nothing by default."""
        yield
