"""What holds for every test of the workspace."""

from __future__ import annotations

import ssl
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from hypothesis import settings

import hub.plugins

pytest_plugins = ["tests.postgres"]

# a shared machine's pauses are no finding about the code
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")


# Thousands of hubs and clients are made here in one process. What reads the same files for each of them is read once:
# the authorities that a client trusts (a twentieth of a second), and which plugins are installed.
@cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


ssl.create_default_context = cache(ssl.create_default_context)
hub.plugins.entry_points = lambda group: _installed(group, tuple(sys.path))  # type: ignore[assignment, attr-defined]
