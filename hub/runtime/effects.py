"""What a done step did to the CRM, as the directory should know it at once, before any feed tells (H6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, assert_never

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
from hub.core.records import Catalogue, Company, Contact, Deal, RecordKind, RecordRef, Task, crm_user
from hub.ports import Changes, Done, Write
from hub.runtime.account import Account

__all__ = ["Known", "effect", "held"]

#: a record as the directory has it
Known: TypeAlias = Contact | Company | Deal | Task


def effect(write: Write, done: Done, catalogue: Catalogue, now: datetime, known: Known | None = None) -> Changes:
    """The records as they are after ``write``; what cannot be told from it alone is named as touched.

    ``known`` is what the directory holds of a record that was changed: with it the client's next interaction is
    decided on the change, not on what was before. ``updated_at`` stays as it was, or None: the CRM's own time of the
    change is not known, so anything that it tells later wins.
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
            if changed is None:
                return Changes()
            return _changed(known, write, catalogue, Changes(touched=(changed,)))
        case RecordCall() | AddNote() | Notify() | Nothing():
            return Changes()
        case _:
            assert_never(action)


def held(account: Account, write: Write) -> Known | None:
    """What the directory holds of the record that ``write`` changes; None for one that makes something."""
    if not isinstance(write.action, UpdateContact | UpdateDeal | UpdateTask):
        return None
    ref = write.refs.get("contact") or write.refs.get("deal") or write.refs.get("task")
    return None if ref is None else account.directory.get(account.project, account.name, ref)


def _changed(known: Known | None, write: Write, catalogue: Catalogue, told: Changes) -> Changes:
    """``told`` with the changed record as it is now, as far as ``write`` says so."""
    responsible = None if write.user is None else crm_user(write.user)
    match write.action, known:
        case UpdateContact() as action, Contact() as contact:
            after = replace(
                contact,
                name=action.name or contact.name,
                phones=(*contact.phones, *(phone for phone in action.add_phones if phone not in contact.phones)),
                emails=(*contact.emails, *(email for email in action.add_emails if email not in contact.emails)),
                responsible=responsible or contact.responsible,
                fields={**contact.fields, **write.fields},
                tags=(*contact.tags, *(tag for tag in action.add_tags if tag not in contact.tags)),
            )
            return replace(told, contacts=(after,))
        case UpdateDeal() as action, Deal() as deal:
            stages = {stage.id: stage for pipeline in catalogue.pipelines for stage in pipeline.stages}
            stage = stages.get(write.stage_id or "")
            moved = replace(
                deal,
                responsible=responsible or deal.responsible,
                pipeline_id=write.pipeline_id or deal.pipeline_id,
                stage_id=write.stage_id or deal.stage_id,
                is_open=not stage.is_final if stage else deal.is_open,
                is_won=stage.is_won if stage else deal.is_won,
                price=deal.price if action.price is None else action.price,
                fields={**deal.fields, **write.fields},
                tags=(*deal.tags, *(tag for tag in action.add_tags if tag not in deal.tags)),
            )
            return replace(told, deals=(moved,))
        case UpdateTask() as action, Task() as task:
            given = replace(
                task,
                responsible=responsible or task.responsible,
                due_at=action.due_at or task.due_at,
                text=action.text or task.text,
            )
            return replace(told, tasks=(given,))
        case _:
            return told


def made(kind: RecordKind, record_id: str | int) -> Done:
    """A `Done` that made the record."""
    return Done(record=RecordRef(kind=kind, id=str(record_id)))
