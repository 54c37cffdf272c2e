"""Whom the hub trusts when it speaks TLS: read once for all of its connections."""

from __future__ import annotations

import ssl
from functools import cache

import httpx

__all__ = ["certificates"]


@cache
def certificates() -> ssl.SSLContext:
    """The context of every client's transport; reading the authorities takes a twentieth of a second each time."""
    return httpx.create_ssl_context()
