"""Zoho CRM as a CRM of the hub."""

from __future__ import annotations

from collections.abc import Callable

from hub.hookspecs import hookimpl
from hub.ports import Sink
from hub_zoho.sink import ZohoSink

__all__ = ["ZohoSink", "register_sinks"]


@hookimpl
def register_sinks(register: Callable[[Sink], None]) -> None:
    register(ZohoSink())
