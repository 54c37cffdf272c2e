"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import hub_wazzup.sandbox
import pytest
from hub_amocrm.sandbox import Sandbox

from tests.end_to_end.short_second import served_in_short_seconds


@pytest.fixture
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    """A fresh amoCRM sandbox, whose seconds are short, and its address."""
    with served_in_short_seconds() as served:
        yield served


@pytest.fixture
def wazzup() -> Iterator[tuple[hub_wazzup.sandbox.Sandbox, str]]:
    """A fresh Wazzup sandbox and its address."""
    with hub_wazzup.sandbox.serve(hub_wazzup.sandbox.Sandbox()) as (sandbox, address):
        yield sandbox, address
