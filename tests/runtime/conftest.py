"""Fixtures of the tests of what runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hub_amocrm.sandbox import Sandbox, serve

from tests.end_to_end.short_second import served_in_short_seconds


@pytest.fixture
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    """A fresh amoCRM sandbox, whose seconds are short, and its address."""
    with served_in_short_seconds() as served:
        yield served


@pytest.fixture
def unhurried_amocrm() -> Iterator[tuple[Sandbox, str]]:
    """The same whose second is a second, for tests of what waits for its turn."""
    with serve(Sandbox()) as served:
        yield served
