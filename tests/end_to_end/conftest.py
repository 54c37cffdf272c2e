"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import hub_wazzup.sandbox
import pytest
from hub_amocrm.sandbox import Sandbox, serve


@pytest.fixture
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    """A fresh amoCRM sandbox and its address."""
    with serve(Sandbox()) as (sandbox, address):
        yield sandbox, address


@pytest.fixture
def wazzup() -> Iterator[tuple[hub_wazzup.sandbox.Sandbox, str]]:
    """A fresh Wazzup sandbox and its address."""
    with hub_wazzup.sandbox.serve(hub_wazzup.sandbox.Sandbox()) as (sandbox, address):
        yield sandbox, address
