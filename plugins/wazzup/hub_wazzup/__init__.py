"""Wazzup for the hub: registers the source, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from hub.hookspecs import hookimpl
from hub.ports import Source

from .source import WazzupSource


@hookimpl
def register_sources(register: Callable[[Source], None]) -> None:
    register(WazzupSource())
