"""A store of its own for each test, on every engine that the store knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.clock import FakeClock
from hub.store.engine import Store, sqlite_url

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store of this test lives; PostgreSQL joins as a second parameter."""
    assert request.param == "sqlite"
    return sqlite_url(tmp_path / "hub.db").render_as_string()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url, clock=FakeClock(NOW)) as opened:
        yield opened
