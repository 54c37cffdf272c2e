"""RetailCRM (Simla) as a CRM of the hub."""

from __future__ import annotations

from collections.abc import Callable

from hub.hookspecs import hookimpl
from hub.ports import Sink
from hub_retailcrm.sink import RetailCrmSink

__all__ = ["RetailCrmSink", "register_sinks"]


@hookimpl
def register_sinks(register: Callable[[Sink], None]) -> None:
    register(RetailCrmSink())
