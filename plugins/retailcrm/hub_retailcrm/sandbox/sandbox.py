"""The sandbox as one object: its application, its switches, its faults, its records (H10)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub_sandbox import CrmSandbox, FaultBook, serve_app

from . import person
from .account import Key
from .config import SandboxConfig
from .control import control_routes
from .gateway import RetailGateway
from .limiter import Limiter
from .listing import shown
from .reply import Json
from .world import KINDS, World


class Sandbox(CrmSandbox[World, RetailGateway]):
    """A stand-in of the vendor's server for one account. Its methods may be called from any thread."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        world = World(self.config)
        self.limiter = Limiter(lambda: world.switches)
        gateway = RetailGateway(world, self.limiter, FaultBook(self.config.seed))
        super().__init__(world, gateway, control_routes(self))

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
            **self.traffic(),
            "violations": self.limiter.violations,
            "most_in_a_second": self.limiter.most_in_a_second,
        }

    def reset_stats(self) -> None:
        """Begin counting anew; records stay."""
        self.gateway.forget()
        self.faults.struck.clear()
        self.limiter.reset()

    def reset(self) -> None:
        """Back to how the sandbox was opened, for tests that share one server; switches stay."""
        self.settle(at_once=True)
        with self.world.lock:
            self.world.open()
            self.faults.open()
            self.reset_stats()
        self.release()

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


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """``with serve(Sandbox()) as (sandbox, address):``, from a thread."""
    with serve_app(sandbox.app, port=port, before_stop=sandbox.release) as address:
        yield sandbox, address
