"""Parrot as a channel of the hub."""

from __future__ import annotations

from collections.abc import Callable

from hub.hookspecs import hookimpl
from hub.ports import Source
from hub_parrot.source import ParrotSource

__all__ = ["ParrotSource", "register_sources"]


@hookimpl
def register_sources(register: Callable[[Source], None]) -> None:
    register(ParrotSource())
