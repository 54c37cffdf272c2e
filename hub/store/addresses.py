"""Who an address with a secret belongs to, from memory: webhooks and forwarding ask for each request (H8)."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from hub.store import projects
from hub.store.crypto import Cipher
from hub.store.projects import Channel, CrmConnection

__all__ = ["Addresses", "load_addresses"]


class Addresses:
    """All channels and connections by their addresses; never changes, a new one is loaded instead.

    A look-up costs one keyed hash and one dictionary look-up, whether the secret is right, wrong or of another
    channel: the time tells nothing about it.
    """

    def __init__(self, cipher: Cipher, channels: Iterable[Channel], connections: Iterable[CrmConnection]) -> None:
        self._cipher = cipher
        self._channels = {(found.project, found.name, cipher.hash_secret(found.secret)): found for found in channels}
        self._connections = {
            (found.project, found.name, cipher.hash_secret(found.secret)): found for found in connections
        }

    def channel(self, project: str, name: str, secret: str) -> Channel | None:
        """The channel with this address; None if there is none: answer 404."""
        return self._channels.get((project, name, self._cipher.hash_secret(secret)))

    def connection(self, project: str, name: str, secret: str) -> CrmConnection | None:
        """The connection whose webhooks arrive at this address; None if there is none: answer 404."""
        return self._connections.get((project, name, self._cipher.hash_secret(secret)))


def load_addresses(conn: Connection, cipher: Cipher) -> Addresses:
    """All addresses as they are now."""
    return Addresses(cipher, projects.list_channels(conn, cipher), projects.list_connections(conn, cipher))
