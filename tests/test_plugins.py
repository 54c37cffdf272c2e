"""Plugins are found, each loaded on its own; one that does not work is named and stops nobody else (H1)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hub import rules
from hub.errors import ConfigurationError
from hub.plugins import Plugins, load_plugins

SOURCE = """
from hub.hookspecs import hookimpl
from pydantic import BaseModel

class Source:
    name = "{name}"
    settings_model = BaseModel
    events = ("after",)
    def verify(self, request, channel): ...
    def parse(self, request, channel): return ()
    def setup_hints(self, channel, hook_url, forward_url): return ()

@hookimpl
def register_sources(register):
    register(Source())
"""
BROKEN = [
    ("raises on import", "raise RuntimeError('no such library')", "RuntimeError: no such library"),
    ("is no Python", "def (", "SyntaxError"),
    (
        "raises in its hook",
        "from hub.hookspecs import hookimpl\n@hookimpl\ndef register_sinks(register): raise ValueError('oops')",
        "ValueError: oops",
    ),
    (
        "has a hook that there is not",
        "from hub.hookspecs import hookimpl\n@hookimpl\ndef register_planets(register): ...",
        "register_planets",
    ),
    (
        "offers something else than a sink",
        "from hub.hookspecs import hookimpl\n@hookimpl\ndef register_sinks(register): register(object())",
        "is not a Sink",
    ),
    (
        "offers one sound thing and one that is not",
        SOURCE.format(name="half") + "\n@hookimpl\ndef register_sinks(register): register(object())\n",
        "is not a Sink",
    ),
    ("takes another's name", SOURCE.format(name="good"), "two plugins register 'good'"),
]


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose modules can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def entry(folder: Path, name: str, text: str) -> EntryPoint:
    """An entry point at a module with ``text``, under a name that no other test has imported."""
    module = f"stranger_{name}_{abs(hash(str(folder)))}"
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return EntryPoint(name=name, value=module, group="hub")


@pytest.mark.parametrize(("text", "problem"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_plugin_is_named_and_the_rest_works(nursery: Path, text: str, problem: str) -> None:
    found = [entry(nursery, "broken", text), entry(nursery, "a_good_one", SOURCE.format(name="good"))]
    plugins = load_plugins(found=found, builtin=(("hub", rules),))
    assert [failure.plugin for failure in plugins.failures] == ["broken"]
    assert problem in plugins.failures[0].problem
    assert plugins.names == ["a_good_one", "hub"]
    assert set(plugins.sources) == {"good"}
    assert set(plugins.rules) == {"announce_new_records", "repeat_as_new"}


def test_the_order_of_installation_never_matters(nursery: Path) -> None:
    found = [entry(nursery, name, SOURCE.format(name=name)) for name in ("one", "two", "three")]

    def loaded() -> Plugins:
        random.shuffle(found)
        return load_plugins(found=found)

    first = loaded()
    assert all(loaded().trace == first.trace for _ in range(5))
    assert first.trace == [(name, f"register_sources: {name}") for name in ("one", "three", "two")]


def test_any_subset_can_be_loaded_and_a_missing_one_is_named(nursery: Path) -> None:
    found = [entry(nursery, name, SOURCE.format(name=name)) for name in ("one", "two")]
    plugins = load_plugins(["two", "nine"], found=found)
    assert set(plugins.sources) == {"two"}
    assert [(failure.plugin, failure.problem) for failure in plugins.failures] == [("nine", "is not installed")]
    with pytest.raises(ConfigurationError, match="installed: two"):
        plugins.source("one")
    assert load_plugins(found=[]).names == []


def test_the_installed_plugins_register_by_their_entry_points() -> None:
    """register_sources, register_sinks: our own plugins come by the door that strangers use."""
    plugins = load_plugins(builtin=(("hub", rules),))
    assert plugins.failures == []
    assert {"ringostat"} <= set(plugins.sources)
    assert {"amocrm"} <= set(plugins.sinks)
    assert ("hub", "register_rules: announce_new_records") in plugins.trace


def test_check_names_a_broken_plugin_in_one_line(nursery: Path) -> None:
    """H1, H11: as a person types it; no traceback, and the exit status says that something is to be mended."""
    folder = nursery / "crm_hub_broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: crm-hub-broken\nVersion: 1.0\n", "utf-8")
    (folder / "entry_points.txt").write_text("[hub]\nbroken = hub_broken\n", "utf-8")
    (nursery / "hub_broken.py").write_text("import no_such_module\n", "utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(nursery), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIRECTORY": str(nursery / "var"),
    }
    command = [sys.executable, "-m", "hub", "check", "--offline", "--json"]
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert checked.returncode == 1, checked.stderr
    lines = {line["what"]: line for line in json.loads(checked.stdout)}
    assert lines["plugin broken"]["text"] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert not lines["plugin broken"]["is_ok"]
    assert lines["plugin ringostat"]["is_ok"]
    assert checked.stderr == "plugin broken does not work: ModuleNotFoundError: No module named 'no_such_module'\n"
