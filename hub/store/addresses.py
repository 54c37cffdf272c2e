"""Who an address with a secret belongs to, from memory: webhooks and forwarding ask for each request (H8)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from secrets import token_bytes

from sqlalchemy import Connection

from hub.store import projects
from hub.store.crypto import Cipher
from hub.store.projects import Channel, CrmConnection

__all__ = ["Addresses", "load_addresses"]


class Addresses:
    """All channels and connections by their addresses; never changes, a new one is loaded instead.

    A look-up costs one keyed hash and one dictionary look-up, whether the secret is right, wrong or of another
    channel: the time tells nothing about it. The key is of this process and moment; nothing of it is stored.
    """

    def __init__(self, channels: Iterable[Channel], connections: Iterable[CrmConnection]) -> None:
        self._key = token_bytes(32)
        self._channels = {(found.project, found.name, self._hash(found.secret)): found for found in channels}
        self._connections = {(found.project, found.name, self._hash(found.secret)): found for found in connections}

    def _hash(self, secret: str) -> bytes:
        # a third of what HMAC-SHA256 takes, and every request pays it
        return blake2b(secret.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()

    def channel(self, project: str, name: str, secret: str) -> Channel | None:
        """The channel with this address; None if there is none: answer 404."""
        return self._channels.get((project, name, self._hash(secret)))

    def connection(self, project: str, name: str, secret: str) -> CrmConnection | None:
        """The connection whose webhooks arrive at this address; None if there is none: answer 404."""
        return self._connections.get((project, name, self._hash(secret)))


def load_addresses(conn: Connection, cipher: Cipher) -> Addresses:
    """All addresses as they are now."""
    return Addresses(projects.list_channels(conn, cipher), projects.list_connections(conn, cipher))
