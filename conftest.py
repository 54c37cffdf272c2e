"""What holds for every test of the workspace."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import argon2
import pytest
import typer.testing
from hypothesis import settings

import hub.engine.projects
import hub.plugins
import hub.store.crypto
from hub.core.policy import Policy, load_policy
from hub.core.rules import Considers

pytest_plugins = ["tests.postgres"]

# a shared machine's pauses are no finding about the code
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")

# what commands say is asserted in English, whatever the machine speaks
os.environ["HUB_LANGUAGE"] = "en"

#: files that take long, the longest first: who runs them beside others must not come to them last
SLOW = (
    "tests/end_to_end/*",
    "tests/testing/*",
    "tests/runtime/*",
    "plugins/*_conformance.py",
    "tests/browser/*",
    "tests/web/*",
    "tests/store/*",
)


@cache
def _rank(file: str) -> int:
    return next((rank for rank, pattern in enumerate(SLOW) if fnmatchcase(file, pattern)), len(SLOW))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put `SLOW` files first; otherwise all stays as it was."""
    items.sort(key=lambda item: _rank(item.nodeid.partition("::")[0]))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Take back what a command set up for its logs in this process: its stream is the test's, and closed after it."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
            root.setLevel(logging.WARNING)


#: how many policies are kept read
_MOST_POLICIES = 64


# Thousands of hubs and clients are made here in one process. What each of them would read anew is read once: the
# authorities that a client trusts (a twentieth of a second), which plugins are installed, policies (a tenth of a
# second, twice for a hub), which nobody can change once they are read, and what all words of the command line mean
# (a seventh of a second for each command that a test gives).
@cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


_policies: dict[tuple[object, ...], Policy] = {}


def _load_policy(text: str, file: str = "", *, rules: Iterable[Considers] = ()) -> Policy:
    offered = tuple(rules)
    # a rule without a state of its own is as good as any other of its class
    key = (text, *(id(rule) if getattr(rule, "__dict__", True) else type(rule) for rule in offered))
    if key not in _policies:
        if len(_policies) >= _MOST_POLICIES:
            del _policies[next(iter(_policies))]
        _policies[key] = load_policy(text, file, rules=offered)
    return _policies[key]


hub.engine.projects.load_policy = _load_policy  # type: ignore[attr-defined]
ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
hub.plugins.entry_points = lambda group: _installed(group, tuple(sys.path))  # type: ignore[assignment, attr-defined]
typer.testing._get_command = cache(typer.testing._get_command)  # type: ignore[attr-defined]
# a third of a second of a processor for each password is meant for whoever guesses; test_crypto.py holds the hub to it
hub.store.crypto._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
