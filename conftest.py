"""What holds for every test of the workspace."""

from __future__ import annotations

import ssl
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import pytest
from hypothesis import settings

import hub.plugins

pytest_plugins = ["tests.postgres"]

# a shared machine's pauses are no finding about the code
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")

#: folders whose files take long, the longest first: who runs them beside others must not come to them last
SLOW = ("tests/end_to_end", "tests/testing", "tests/runtime", "tests/browser", "tests/web", "tests/store")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put `SLOW` folders first; within them all stays as it was."""
    ranks = {folder: rank for rank, folder in enumerate(SLOW)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0].rpartition("/")[0], len(SLOW)))


# Thousands of hubs and clients are made here in one process. What reads the same files for each of them is read once:
# the authorities that a client trusts (a twentieth of a second), and which plugins are installed.
@cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
hub.plugins.entry_points = lambda group: _installed(group, tuple(sys.path))  # type: ignore[assignment, attr-defined]
