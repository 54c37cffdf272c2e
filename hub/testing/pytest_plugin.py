"""Loaded by pytest wherever the hub is installed (entry point ``pytest11``): failed expectations read as sentences.

It imports nothing of the hub, so that it costs nothing where no conformance suite runs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pluggy import Result

__all__ = ["pytest_configure", "pytest_runtest_makereport"]


def pytest_configure(config: pytest.Config) -> None:
    """``-m "not conformance"`` leaves the kit's suites out."""
    config.addinivalue_line("markers", "conformance: an expectation of the hub's conformance kit")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Result[pytest.TestReport], None]:
    """What the kit found is told as a sentence and what it means, without the kit's own lines."""
    outcome = yield
    if call.excinfo is None or call.excinfo.typename != "NotConforming" or item.config.getoption("fulltrace", False):
        return
    report = outcome.get_result()
    meaning = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    report.longrepr = f"{call.excinfo.value}\n\nExpected: {meaning.strip()}".rstrip()
