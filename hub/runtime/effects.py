"""What a done step did to the CRM, as the directory should know it at once, before any feed tells (H6)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Nothing,
    Notify,
    RecordCall,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Catalogue, Contact, Deal, RecordKind, RecordRef, Task, crm_user
from hub.ports import Changes, Done, Write

__all__ = ["effect"]


def effect(write: Write, done: Done, catalogue: Catalogue, now: datetime) -> Changes:
    """The records as they are after ``write``; what cannot be told from it alone is named as touched.

    ``updated_at`` stays None: the CRM's own time of the change is not known, so anything that it tells later wins.
    """
    action = write.action
    record = done.record
    responsible = None if write.user is None else crm_user(write.user)
    if done.is_merged and record is not None:
        return Changes(touched=(record,))
    match action:
        case CreateContact():
            if record is None:
                return Changes()
            company = write.refs.get("company")
            return Changes(
                contacts=(
                    Contact(
                        id=record.id,
                        name=action.name,
                        phones=action.phones,
                        emails=action.emails,
                        responsible=responsible,
                        company_id=None if company is None else company.id,
                        fields=write.fields,
                        tags=action.tags,
                        created_at=now,
                    ),
                )
            )
        case CreateDeal():
            if record is None:
                return Changes()
            stages = {stage.id: stage for pipeline in catalogue.pipelines for stage in pipeline.stages}
            stage = stages.get(write.stage_id or "")
            contact = write.refs.get("contact")
            return Changes(
                deals=(
                    Deal(
                        id=record.id,
                        name=action.name,
                        pipeline_id=write.pipeline_id or "",
                        stage_id=write.stage_id or "",
                        is_open=not (stage and stage.is_final),
                        is_won=bool(stage and stage.is_won),
                        responsible=responsible,
                        contact_ids=(contact.id,) if contact else (),
                        price=action.price,
                        fields=write.fields,
                        tags=action.tags,
                        created_at=now,
                    ),
                )
            )
        case CreateTask():
            if record is None or action.completed_at is not None:
                return Changes()
            return Changes(
                tasks=(
                    Task(
                        id=record.id,
                        text=action.text,
                        type_id=write.task_type_id or "",
                        responsible=responsible,
                        due_at=action.due_at,
                        on=write.refs.get("on"),
                        created_at=now,
                    ),
                )
            )
        case CompleteTask():
            task = write.refs.get("task")
            return Changes(deleted=(task,) if task else ())
        case UpdateContact() | UpdateDeal() | UpdateTask():
            changed = write.refs.get("contact") or write.refs.get("deal") or write.refs.get("task")
            return Changes(touched=(changed,) if changed else ())
        case RecordCall() | AddNote() | Notify() | Nothing():
            return Changes()
        case _:
            assert_never(action)


def made(kind: RecordKind, record_id: str | int) -> Done:
    """A `Done` that made the record."""
    return Done(record=RecordRef(kind=kind, id=str(record_id)))
