"""Ports for whoever has to know theirs before it listens, or listens on it again."""

from __future__ import annotations

import contextlib
import random
import socket

__all__ = ["free_port"]


def free_port() -> int:
    """A port that nobody listens on now, below those that the system gives to whoever connects somewhere."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
