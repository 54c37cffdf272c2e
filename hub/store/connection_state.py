"""A plugin's own small durable state per connection: tokens, cursors; encrypted (H8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sqlalchemy import Connection, select, update

from hub.errors import ConfigurationError, Stale
from hub.store.crypto import Cipher
from hub.store.engine import Store
from hub.store.schema import connection

__all__ = ["ConnectionStates", "StoredState"]


class ConnectionStates:
    """Gives out the states of all connections; one for the process, since the locks live in it."""

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self._store = store
        self._cipher = cipher
        self._locks: dict[tuple[str, str, str], asyncio.Lock] = {}

    def of(self, project: str, name: str) -> StoredState:
        """The state of one connection."""
        return StoredState(self._store, self._cipher, project, name, self._locks)


class StoredState:
    """`hub.ports.ConnectionState` of one connection.

    A lock excludes others within this process, and on PostgreSQL those of other processes: a refresh token is good
    once. On SQLite two processes (a command beside a running hub) are kept apart by the version: the later one to save
    gets Stale.
    """

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        project: str,
        name: str,
        locks: dict[tuple[str, str, str], asyncio.Lock],
    ) -> None:
        self._store = store
        self._cipher = cipher
        self._project = project
        self._name = name
        self._locks = locks

    async def load(self) -> tuple[dict[str, Any], int]:
        """The state and its version; ({}, 0) at first. Raises ConfigurationError if the connection is gone."""

        def fn(conn: Connection) -> tuple[bytes | None, int] | None:
            row = conn.execute(
                select(connection.c.state, connection.c.state_version).where(
                    connection.c.project == self._project, connection.c.name == self._name
                )
            ).first()
            return None if row is None else (row[0], row[1])

        found = await self._store.read(fn)
        if found is None:
            raise ConfigurationError("there is no such connection", path=f"connection {self._project}/{self._name}")
        sealed, version = found
        return ({} if sealed is None else self._cipher.decrypt_json(sealed)), version

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        """Store ``value`` durably if the version is still the expected one; the new version."""
        sealed = self._cipher.encrypt_json(value)

        def fn(conn: Connection) -> int:
            return conn.execute(
                update(connection)
                .where(
                    connection.c.project == self._project,
                    connection.c.name == self._name,
                    connection.c.state_version == expected_version,
                )
                .values(state=sealed, state_version=expected_version + 1)
            ).rowcount

        if not await self._store.write(fn):
            raise Stale("somebody else saved this connection's state first", connection=self._name)
        return expected_version + 1

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Only one holder of ``name`` for this connection."""
        return self._held(name)

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[None]:
        async with (
            self._locks.setdefault((self._project, self._name, name), asyncio.Lock()),
            self._store.locked("state", self._project, self._name, name),
        ):
            yield
