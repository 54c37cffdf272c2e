"""A store of its own for each test, on every engine that the store knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.clock import FakeClock
from hub.store.engine import Store

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url, clock=FakeClock(NOW)) as opened:
        yield opened


@pytest.fixture
def run_at_once() -> Callable[..., list[Any]]:
    """Runs functions in threads of their own that begin together; their results in order, or what the first raised."""

    def run(*functions: Callable[[], Any]) -> list[Any]:
        barrier = threading.Barrier(len(functions))

        def one(fn: Callable[[], Any]) -> Any:
            barrier.wait(30)
            return fn()

        with ThreadPoolExecutor(len(functions)) as pool:
            return [future.result() for future in [pool.submit(one, fn) for fn in functions]]

    return run


@pytest.fixture
def stores(postgres_url: str) -> Iterator[Sequence[Store]]:
    """Eight who write at once, each over a connection of its own: to the server they are eight processes."""
    with Store(postgres_url, readers=4) as store:
        yield [store] * 8
