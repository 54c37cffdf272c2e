"""Deals that wait in the CRM's inbox of undecided enquiries for the first who answers (W2, W12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.core.records import Deal

if TYPE_CHECKING:
    from hub.core.snapshot import Snapshot

__all__ = ["waits_to_be_claimed"]


def waits_to_be_claimed(deal: Deal, snapshot: Snapshot) -> bool:
    """True while nobody has taken the open ``deal``.

    Where the CRM has such an inbox, the deal's stage tells, so that one whom a person accepted in the CRM is known to
    be theirs. Elsewhere the hub remembers which deals it made for nobody.
    """
    for pipeline in snapshot.catalogue.pipelines:
        if pipeline.id == deal.pipeline_id and pipeline.has_unsorted:
            return any(stage.is_unsorted and stage.id == deal.stage_id for stage in pipeline.stages)
    return deal.id in snapshot.history.unclaimed
