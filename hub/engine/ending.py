"""The end of one interaction's work in one CRM, once all its steps have ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from hub.core.remark import remark
from hub.core.revise import StepState, has_to_wait
from hub.store import events, work
from hub.store.work import Work, WorkState

__all__ = ["end"]


def end(conn: Connection, found: Work, counts: Mapping[str, int], now: datetime) -> None:
    """Finish ``found``, which nobody else changes now, or let it need attention; the lane goes on either way.

    ``counts`` is how many of its steps stand in which state. While some are on their way nothing happens; what was
    revised meanwhile is decided again.
    """
    is_revised = found.revision > found.decided_revision
    if found.state is not WorkState.WRITING or has_to_wait(counts, is_revised):
        return
    if is_revised:
        work.put(conn, found, WorkState.OPEN, now=now)
        return
    refused = counts.get(StepState.REJECTED.value, 0)
    state = WorkState.ATTENTION if refused else WorkState.FINISHED
    body = {"interaction": found.interaction_id, "connection": found.connection, "state": state.value}
    events.append(conn, project=found.project, kind="work", body=body, now=now)
    work.put(conn, found, state, now=now, note=remark("refused", n=refused) if refused else "")
    if found.is_replay:
        work.end_replay(conn, found.interaction_id, found.connection)
