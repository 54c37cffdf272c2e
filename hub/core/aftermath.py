"""The records that actions leave behind, as a directory would show them once they are done (X2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from hub.core.plan import Action, CreateContact, CreateDeal, CreateTask, Ref, UpdateContact, UpdateDeal, UpdateTask
from hub.core.records import Contact, Deal, RecordKind, RecordRef, Task

__all__ = ["Made", "Stand", "Words", "changed", "made"]

Made: TypeAlias = Contact | Deal | Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a deal stands: the CRM's ids of pipeline and stage, and what the stage means."""

    pipeline_id: str = ""
    stage_id: str = ""
    is_open: bool = True
    is_won: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the names of a policy stand for in one CRM."""

    #: of pipeline and stage as the policy names them
    stand: Callable[[str, str, bool], Stand] = lambda pipeline, stage, is_unsorted: Stand()
    #: custom fields by the CRM's ids
    fields: Callable[[RecordKind, Mapping[str, str]], Mapping[str, str]] = lambda kind, fields: fields


def made(
    action: Action, id: str, *, refer: Callable[[Ref | None], RecordRef | None], at: datetime, words: Words
) -> Made:
    """The record ``id`` that ``action`` makes; ``refer`` knows the records that other actions make."""
    match action:
        case CreateContact():
            company = refer(action.company)
            return Contact(
                id=id,
                name=action.name,
                phones=action.phones,
                emails=action.emails,
                responsible=action.responsible,
                company_id=company.id if company else None,
                fields=words.fields(RecordKind.CONTACT, action.fields),
                tags=action.tags,
                created_at=at,
            )
        case CreateDeal():
            stand = words.stand(action.pipeline, action.stage, action.is_unsorted)
            contact, company = refer(action.contact), refer(action.company)
            return Deal(
                id=id,
                name=action.name,
                pipeline_id=stand.pipeline_id,
                stage_id=stand.stage_id,
                is_open=stand.is_open,
                is_won=stand.is_won,
                responsible=action.responsible,
                contact_ids=(contact.id,) if contact else (),
                company_id=company.id if company else None,
                price=action.price,
                fields=words.fields(RecordKind.DEAL, action.fields),
                tags=action.tags,
                created_at=at,
            )
        case CreateTask():
            return Task(
                id=id,
                text=action.text,
                responsible=action.assignee,
                due_at=action.due_at,
                is_open=action.completed_at is None,
                on=refer(action.on),
                created_at=at,
            )
        case _:
            raise TypeError(f"{action.kind} makes no record")


def changed(record: Made, action: Action, words: Words) -> Made:
    """``record`` after an updating ``action``; any other leaves it as it is."""
    match record, action:
        case Contact(), UpdateContact():
            return replace(
                record,
                name=action.name or record.name,
                phones=_more(record.phones, action.add_phones, action.remove_phones),
                emails=_more(record.emails, action.add_emails, action.remove_emails),
                responsible=action.responsible or record.responsible,
                tags=_more(record.tags, action.add_tags, action.remove_tags),
                fields={**record.fields, **words.fields(RecordKind.CONTACT, action.fields)},
            )
        case Deal(), UpdateDeal():
            moved: dict[str, Any] = {}
            if action.pipeline or action.stage or action.accepts:
                stand = words.stand(action.pipeline, action.stage, False)
                moved = {name: getattr(stand, name) for name in ("pipeline_id", "stage_id", "is_open", "is_won")}
            return replace(
                record,
                responsible=action.responsible or record.responsible,
                price=record.price if action.price is None else action.price,
                tags=_more(record.tags, action.add_tags),
                fields={**record.fields, **words.fields(RecordKind.DEAL, action.fields)},
                **moved,
            )
        case Task(), UpdateTask():
            return replace(
                record, responsible=action.assignee or record.responsible, due_at=action.due_at or record.due_at
            )
        case _:
            return record


def _more(known: tuple[Any, ...], added: tuple[Any, ...], removed: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    return tuple(one for one in dict.fromkeys((*known, *added)) if one not in removed)
