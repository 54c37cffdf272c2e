"""Chaos by delay: every place at which the hub waits for something takes its time, at random and by seed (X5, H3).

A loaded machine is late in one place and not in the next; a race needs just that. Here the directory's folds, the
commits of the store, before and after, and what is read of it are late for some tenths of a second, and lanes are woken
when nobody asked for it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, select

from hub.compose import Hub
from hub.core.interaction import ClientId
from hub.runtime.account import Account
from hub.store import schema
from hub.store.engine import Store
from hub.store.work import Lane

__all__ = ["Delays", "delayed", "doubles"]


@dataclass(slots=True)
class Delays:
    """How late things are."""

    chance: random.Random
    #: seconds, at most
    longest: float

    async def pass_some(self, share: float = 0.3) -> None:
        """Some time, in such a ``share`` of all cases; the fault itself, no waiting for anything."""
        late = self.chance.random() < share
        await asyncio.sleep(self.chance.random() * self.longest if late else 0)


@asynccontextmanager
async def delayed(hub: Hub, seed: int, *, longest: float = 0.6) -> AsyncIterator[Delays]:
    """``hub`` is late in everything while this lasts, by ``longest`` seconds at most in each place."""
    delays = Delays(chance=random.Random(seed), longest=longest)
    fold, fold_own, write, read = Account.fold, Account.fold_own, Store.write, Store.read

    async def late_fold(self: Account, *told: Any, **how: Any) -> None:
        await delays.pass_some()
        await fold(self, *told, **how)

    async def late_fold_own(self: Account, *told: Any) -> None:
        await delays.pass_some(0.7)
        await fold_own(self, *told)

    async def late_write(self: Store, fn: Callable[[Connection], Any], **how: Any) -> Any:
        await delays.pass_some(0.1)
        result = await write(self, fn, **how)
        await delays.pass_some(0.1)
        return result

    async def late_read(self: Store, fn: Callable[[Connection], Any], **how: Any) -> Any:
        result = await read(self, fn, **how)
        await delays.pass_some(0.1)
        return result

    async def disturb() -> None:
        lanes = select(schema.work.c.client_id, schema.work.c.connection, schema.work.c.project).distinct()
        while True:
            await asyncio.sleep(delays.chance.random() * 0.1)
            rows = hub.services.store.read_now(lambda conn: conn.execute(lanes).all())
            for client, connection, project in rows:
                if delays.chance.random() < 0.3:
                    hub.lanes.wake(Lane(client_id=ClientId(client), connection=connection, project=project))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Account, "fold", late_fold)
        patch.setattr(Account, "fold_own", late_fold_own)
        patch.setattr(Store, "write", late_write)
        patch.setattr(Store, "read", late_read)
        disturbing = asyncio.create_task(disturb())
        try:
            yield delays
        finally:
            disturbing.cancel()
            with suppress(asyncio.CancelledError):
                await disturbing


def doubles(records: Mapping[str, Any]) -> list[str]:
    """What the CRM holds more than once (the rules of `hub.demo.audit`, where all deals are open and all numbers new),
    and open tasks of one text on one card for one employee (A3)."""
    found: list[str] = []
    seen: dict[tuple[str, str], Any] = {}

    def once(kind: str, key: Any, record: Mapping[str, Any]) -> None:
        before = seen.setdefault((kind, str(key)), record)
        if before is not record:
            found.append(f"{kind} {key}: {before['id']} and {record['id']}")

    for contact in records["contacts"]:
        for field in contact.get("custom_fields_values") or ():
            if field.get("field_code") == "PHONE":
                for value in field["values"]:
                    once("contact", value["value"], contact)
        for lead in contact["_embedded"]["leads"]:
            once("deal", contact["id"], lead)
    for note in records["notes"]:
        if note["note_type"] in ("call_in", "call_out"):
            once("call", note["params"]["uniq"], note)
    for task in records["tasks"]:
        if not task["is_completed"]:
            once("task", (task["entity_type"], task["entity_id"], task["responsible_user_id"], task["text"]), task)
    return found
