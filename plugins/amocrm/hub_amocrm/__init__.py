"""amoCRM and Kommo as a CRM of the hub."""

from __future__ import annotations

from collections.abc import Callable

from hub.hookspecs import hookimpl
from hub.ports import Sink
from hub_amocrm.sink import AmoCrmSink

__all__ = ["AmoCrmSink", "register_sinks"]


@hookimpl
def register_sinks(register: Callable[[Sink], None]) -> None:
    register(AmoCrmSink())
