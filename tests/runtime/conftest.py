"""Fixtures of the tests of what runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hub_amocrm.sandbox import Sandbox, serve


@pytest.fixture
def amocrm() -> Iterator[tuple[Sandbox, str]]:
    """A fresh amoCRM sandbox and its address."""
    with serve(Sandbox()) as (sandbox, address):
        yield sandbox, address
