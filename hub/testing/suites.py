"""The conformance kit as pytest classes: one line in a plugin's test file (X4).

::

    from hub.testing.suites import source_suite
    from hub_parrot.conformance import OUTFIT

    TestConformance = source_suite(OUTFIT)

Each expectation is a test of its own, named as a sentence. Needs the extra ``crm-hub[testing]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hub.testing import source_checks, source_merging, source_vendor
from hub.testing.check import Check
from hub.testing.outfit import SourceOutfit
from hub.testing.source_bench import SourceBench

__all__ = ["source_suite"]


def source_suite(outfit: SourceOutfit) -> type:
    """What is expected of ``outfit.source``."""

    def test_of(check: Check[Any]) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            __tracebackhide__ = True
            asyncio.run(check.run(SourceBench(outfit)))

        return test

    modules = (source_checks, source_merging, source_vendor)
    checks = [check for module in modules for check in module.CHECKS.of(outfit.source)]
    tests = {check.name: test_of(check) for check in checks}
    return _suite(f"TestSource_{outfit.source.name}", tests, checks)


def _suite(name: str, tests: dict[str, Callable[..., None]], checks: list[Check[Any]]) -> type:
    members: dict[str, Any] = {}
    for check in checks:
        test = tests[check.name]
        test.__doc__ = check.text
        test.__name__ = test.__qualname__ = f"test_{check.name}"
        members[test.__name__] = test
    return type(name, (), members)
