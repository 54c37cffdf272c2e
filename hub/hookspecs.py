"""The doors of the hub: every hook, and no logic.

Hooks are called once, when the hub starts; they hand over finished objects, and everything awaited is a method of
those objects (see `hub.ports`). A hook does no I/O, so that a vendor being down never keeps the hub from starting.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from hub.ports import Rule, Sink, Source

__all__ = ["hookimpl", "hookspec", "register_rules", "register_sinks", "register_sources"]

hookspec = pluggy.HookspecMarker("hub")
hookimpl = pluggy.HookimplMarker("hub")


@hookspec
def register_sources(register: Callable[[Source], None]) -> None:
    """Call ``register(source)`` once for each channel vendor that this plugin reads.

    ``source.name`` must be unique among installed plugins.
    """


@hookspec
def register_rules(register: Callable[[Rule], None]) -> None:
    """Call ``register(rule)`` once for each rule that policies may name.

    ``rule.name`` must be unique among installed plugins. A rule is pure: facts in, changed outcome and reason out.
    """


@hookspec
def register_sinks(register: Callable[[Sink], None]) -> None:
    """Call ``register(sink)`` once for each CRM that this plugin can write to.

    ``sink.name`` must be unique among installed plugins. Do no I/O here: ``sink.open()`` is where a connection is
    made.
    """
