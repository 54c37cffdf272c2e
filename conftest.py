"""What holds for every test of the workspace."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.postgres"]

# a shared machine's pauses are no finding about the code
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")
