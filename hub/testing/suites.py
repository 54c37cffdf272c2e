"""The conformance kit as pytest classes: one line in a plugin's test file (X4).

::

    from hub.testing.suites import source_suite
    from hub_parrot.conformance import OUTFIT

    TestConformance = source_suite(OUTFIT)

Each expectation is a test of its own, named as a sentence. Needs the extra ``crm-hub[testing]``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest

from hub.testing.conformance import Trial, stage_of, trials
from hub.testing.outfit import CrmStage, Outfit, RuleOutfit, SinkOutfit, SourceOutfit

__all__ = ["rule_suite", "sink_suite", "source_suite"]


def source_suite(outfit: SourceOutfit) -> type:
    """What is expected of ``outfit.source``."""
    return _suite(f"TestSource_{outfit.source.name}", outfit)


def rule_suite(outfit: RuleOutfit) -> type:
    """What is expected of ``outfit.rule``."""
    return _suite(f"TestRule_{outfit.rule.name}", outfit)


def sink_suite(outfit: SinkOutfit) -> type:
    """What is expected of ``outfit.sink``; its sandbox is served once for all of it."""
    return _suite(f"TestSink_{outfit.sink.name}", outfit)


class _Staged:
    """Serves the sandbox before the first test of a class and stops it after the last."""

    stage: ClassVar[CrmStage | None] = None
    _outfit: ClassVar[Outfit]
    _open: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        cls._open = ExitStack()
        cls.stage = cls._open.enter_context(stage_of(cls._outfit))

    @classmethod
    def teardown_class(cls) -> None:
        cls._open.close()


def _suite(name: str, outfit: Outfit) -> type:
    members: dict[str, Any] = {"_outfit": outfit}
    for trial in trials(outfit):
        test = _test(trial)
        test.__doc__ = trial.text
        test.__name__ = test.__qualname__ = f"test_{trial.name}"
        members[test.__name__] = test
    return pytest.mark.conformance(type(name, (_Staged,), members))


def _test(trial: Trial) -> Callable[[_Staged], None]:
    def test(self: _Staged) -> None:
        __tracebackhide__ = True
        trial.run(self.stage)

    return test
