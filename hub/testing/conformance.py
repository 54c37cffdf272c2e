"""The whole kit: which expectations concern a plugin, and how each is tried (X4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from hub.testing import (
    crm_access,
    crm_damage,
    crm_errors,
    crm_feeds,
    crm_reading,
    crm_writing,
    rule_checks,
    source_checks,
    source_merging,
    source_messenger,
    source_sharing,
    source_subscribing,
    source_vendor,
)
from hub.testing.check import Check
from hub.testing.crm_bench import CrmBench, crm_bench
from hub.testing.outfit import CrmStage, Outfit, RuleOutfit, SinkOutfit, SourceOutfit
from hub.testing.rule_checks import RuleBench
from hub.testing.source_bench import SourceBench

__all__ = ["Trial", "stage_of", "trials"]

_SOURCE = (source_checks, source_merging, source_vendor, source_messenger, source_sharing, source_subscribing)
_SINK = (crm_writing, crm_errors, crm_damage, crm_feeds, crm_reading, crm_access)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One expectation of one plugin, ready to be tried."""

    name: str
    text: str
    #: raises NotConforming; takes what `stage_of` gives
    run: Callable[[CrmStage | None], None]

    @property
    def sentence(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")


def trials(outfit: Outfit) -> list[Trial]:
    """Everything that is expected of the plugin of ``outfit``, in order."""
    match outfit:
        case SourceOutfit():
            return [_of_source(outfit, check) for module in _SOURCE for check in module.CHECKS.of(outfit.source)]
        case SinkOutfit():
            return [_of_sink(outfit, check) for module in _SINK for check in module.CHECKS.of(outfit.sink)]
        case RuleOutfit():
            return [_of_rule(outfit, check) for check in rule_checks.CHECKS.of(outfit.rule)]
    raise TypeError(f"an outfit is a SourceOutfit, RuleOutfit or SinkOutfit, not {type(outfit).__name__}")


def stage_of(outfit: Outfit) -> AbstractContextManager[CrmStage | None]:
    """What the trials of ``outfit`` are run with: a CRM's sandbox is served once for all of them."""
    return outfit.serve() if isinstance(outfit, SinkOutfit) else nullcontext()


def _of_source(outfit: SourceOutfit, check: Check[SourceBench]) -> Trial:
    def run(_: CrmStage | None) -> None:
        asyncio.run(check.run(SourceBench(outfit)))

    return Trial(name=check.name, text=check.text, run=run)


def _of_rule(outfit: RuleOutfit, check: Check[RuleBench]) -> Trial:
    def run(_: CrmStage | None) -> None:
        asyncio.run(check.run(RuleBench(outfit)))

    return Trial(name=check.name, text=check.text, run=run)


def _of_sink(outfit: SinkOutfit, check: Check[CrmBench]) -> Trial:
    async def work(stage: CrmStage) -> None:
        async with crm_bench(outfit, stage) as bench:
            await check.run(bench)

    def run(stage: CrmStage | None) -> None:
        if stage is None:
            raise TypeError("a CRM is tried in its sandbox: see stage_of")
        asyncio.run(work(stage))

    return Trial(name=check.name, text=check.text, run=run)
