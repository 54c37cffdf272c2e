"""Steps that leave in several requests at the same moment are marked as sent in one commit (DESIGN 2, "In doubt").

A call's note and task become ready together, once their contact is there: marked one by one, the second waits for two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from hub.store.engine import Store

__all__ = ["Marking"]

T = TypeVar("T")


class Marking(Generic[T]):
    """Of one account's writer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: those that share the next commit, and that commit
        self._joined: list[Callable[[Connection], T]] = []
        self._next: asyncio.Task[list[T]] | None = None

    async def mark(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns once it is durable. Raises what it, or one that shares its commit, raises.

        Whoever gives up waiting does not take it back, nor from the others.
        """
        if self._next is None:
            self._joined = []
            self._next = asyncio.create_task(self._commit(self._joined), name="mark as sent")
        place = len(self._joined)
        self._joined.append(fn)
        return (await asyncio.shield(self._next))[place]

    async def _commit(self, joined: list[Callable[[Connection], T]]) -> list[T]:
        # whoever is ready in the same turn of the loop joins
        await asyncio.sleep(0)
        self._next = None
        return await self._store.write(lambda conn: [fn(conn) for fn in joined])
