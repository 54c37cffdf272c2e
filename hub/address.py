"""Addresses that people type into settings, and which of them are this very machine; for plugins too."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator

__all__ = ["HttpAddress", "is_loopback"]


def is_loopback(address: str) -> bool:
    """Whether ``address`` (a URL, or a host with an optional port) is this very machine, as a sandbox's is."""
    host = urlsplit(address if "//" in address else f"//{address}").hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _settled(value: str) -> str:
    value = value.strip().rstrip("/")
    if value and "//" not in value:
        value = f"https://{value}"
    if value and urlsplit(value).scheme not in ("https", "http"):
        raise ValueError("an address begins with https://")
    return value


#: a field of settings: https:// is put before a bare host, the last slash is dropped; "" stays ""
HttpAddress: TypeAlias = Annotated[str, AfterValidator(_settled)]
