"""Finds the installed plugins, loads each on its own, and hands out what they registered (H1)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from hub import hookspecs
from hub.errors import ConfigurationError
from hub.ports import Rule, Sink, Source

__all__ = ["Failure", "Plugins", "load_plugins"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_HOOKS = ("register_sources", "register_rules", "register_sinks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A plugin that does not work, and why; the rest of the hub goes on."""

    plugin: str
    problem: str


@dataclass(slots=True)
class Plugins:
    """What the installed plugins offer, by name."""

    sources: dict[str, Source] = field(default_factory=dict)
    sinks: dict[str, Sink] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    #: (plugin, what it registered), for ``hub check --trace-hooks``
    trace: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def source(self, name: str) -> Source:
        """The source called ``name``; raises ConfigurationError that lists the known ones."""
        return _get(self.sources, name, "source")

    def sink(self, name: str) -> Sink:
        """The sink called ``name``; raises ConfigurationError that lists the known ones."""
        return _get(self.sinks, name, "CRM")


def _get(known: Mapping[str, T], name: str, word: str) -> T:
    try:
        return known[name]
    except KeyError:
        listed = ", ".join(sorted(known)) or "none is installed"
        raise ConfigurationError(f"there is no {word} {name!r}; installed: {listed}", path=word) from None


def load_plugins(
    only: Sequence[str] = (), *, found: Iterable[EntryPoint] | None = None, builtin: Sequence[tuple[str, object]] = ()
) -> Plugins:
    """Load every entry point of group ``hub`` (or those named in ``only``), and the hub's own ``builtin`` plugins.

    A plugin that fails to import or to register is kept in `Plugins.failures` and does not stop the others. Order
    never matters: plugins are taken by name.
    """
    plugins = Plugins()
    manager = pluggy.PluginManager("hub")
    manager.add_hookspecs(hookspecs)
    entries = entry_points(group="hub") if found is None else found
    by_name = {entry.name: entry for entry in entries}
    for missing in sorted(set(only) - set(by_name)):
        plugins.failures.append(Failure(plugin=missing, problem="is not installed"))
    for name in sorted(by_name):
        if only and name not in only:
            continue
        try:
            loaded = by_name[name].load()
        except Exception as err:  # noqa: BLE001 - a stranger's import may raise anything; it is named and shown
            _fail(plugins, name, err)
            continue
        _register(manager, plugins, name, loaded)
    for name, loaded in builtin:
        _register(manager, plugins, name, loaded)
    return plugins


def _register(manager: pluggy.PluginManager, plugins: Plugins, name: str, loaded: object) -> None:
    """Check ``loaded`` against the hookspecs, then call its hooks alone, so that its failure is only its own."""
    try:
        manager.register(loaded, name=name)
        manager.check_pending()
        others = [plugin for other, plugin in manager.list_name_plugin() if other != name and plugin is not None]
        offered: list[tuple[str, Any]] = []
        for hook in _HOOKS:
            caller = manager.subset_hook_caller(hook, remove_plugins=others)
            caller(register=lambda thing, hook=hook: offered.append((hook, thing)))
        doors = _doors(plugins)
        for place, (hook, thing) in enumerate(offered):
            _check(hook, thing, doors, offered[:place])
    except Exception as err:  # noqa: BLE001 - as above: any failure of a plugin is named, the rest works
        if manager.has_plugin(name):
            manager.unregister(name=name)
        _fail(plugins, name, err)
        return
    # only now that all of it is sound: a plugin works whole or not at all
    for hook, thing in offered:
        doors[hook][1][thing.name] = thing
        plugins.trace.append((name, f"{hook}: {thing.name}"))
    plugins.names.append(name)


def _doors(plugins: Plugins) -> dict[str, tuple[Any, dict[str, Any]]]:
    """For each hook, what must come through it and where that is kept."""
    return {
        "register_sources": (Source, plugins.sources),
        "register_sinks": (Sink, plugins.sinks),
        "register_rules": (Rule, plugins.rules),
    }


def _check(
    hook: str, thing: Any, doors: dict[str, tuple[Any, dict[str, Any]]], before: Sequence[tuple[str, Any]]
) -> None:
    """Raise ConfigurationError if ``thing`` does not fit ``hook``, or its name is taken."""
    protocol, known = doors[hook]
    if not isinstance(thing, protocol):
        raise ConfigurationError(f"{thing!r} is not a {protocol.__name__}: a member of the protocol is missing")
    if thing.name in known or any(other == hook and earlier.name == thing.name for other, earlier in before):
        raise ConfigurationError(f"two plugins register {thing.name!r} by {hook}")


def _fail(plugins: Plugins, name: str, err: Exception) -> None:
    problem = f"{type(err).__name__}: {err}".splitlines()[0]
    plugins.failures.append(Failure(plugin=name, problem=problem))
    log.error("plugin %s does not work: %s", name, problem, extra={"action": "plugin.failed"}, exc_info=err)
