"""One browser for all of these tests; a context of its own for each person in each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from hub.runtime import acting
from tests.web.console_scene import browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes late on a slow machine is still the CRM's, not "waiting"."""
    monkeypatch.setattr(acting, "PATIENCE", timedelta(seconds=60))
