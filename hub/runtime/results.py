"""What became of the steps of one request, gathered before it is stored in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hub.core.records import RecordRef
from hub.ports import Changes
from hub.store.steps import Step

__all__ = ["Results"]


@dataclass(slots=True, kw_only=True)
class Results:
    """Each step of a request stands in exactly one of the lists."""

    #: (step, the record it made or changed, what the directory must learn, a sentence about what was left out)
    done: list[tuple[Step, RecordRef | None, Changes, str]] = field(default_factory=list)
    #: back to waiting: (step, why, not before, counts as an attempt)
    again: list[tuple[Step, str, datetime | None, bool]] = field(default_factory=list)
    #: sent, and nobody knows whether it was applied: (step, why, checks made so far)
    doubtful: list[tuple[Step, str]] = field(default_factory=list)
    #: looked for once and not found: it is looked for again before it is sent again
    unseen: list[tuple[Step, str]] = field(default_factory=list)
    rejected: list[tuple[Step, str]] = field(default_factory=list)
    #: the decision no longer fits the CRM: decide again
    stale: list[tuple[Step, str]] = field(default_factory=list)
