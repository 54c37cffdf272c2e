"""From an action in the policy's words to a `Write` in the CRM's: names become ids (DESIGN 6, "Presets hold names")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, assert_never

from hub.core.plan import (
    Action,
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Nothing,
    Notify,
    RecordCall,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Catalogue, EmployeeId, Pipeline, RecordKind, RecordRef, Stage, UserId, user_of
from hub.core.remark import remark
from hub.core.text import CARD
from hub.ports import Write

__all__ = ["Names", "Unresolved", "resolve"]


class Unresolved(Exception):
    """A step names something that the CRM does not have (yet); ``note`` says what, as a remark."""

    def __init__(self, note: str) -> None:
        self.note = note
        super().__init__(note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What one connection's names stand for: bindings chosen in the set-up first, then the CRM's catalogue."""

    catalogue: Catalogue
    users: Mapping[EmployeeId, UserId] = field(default_factory=dict)
    #: (kind, the policy's word) -> the CRM's id, for what was bound by hand
    bound: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def user(self, employee: EmployeeId | None) -> UserId | None:
        """The CRM user of ``employee``; None if there is none."""
        if employee is None:
            return None
        return user_of(employee) or self.users.get(employee)

    def author(self, employee: EmployeeId | None) -> UserId | None:
        """The CRM user of ``employee`` who may stand as a record's author; None if they were deactivated."""
        found = self.user(employee)
        is_gone = any(user.id == found and not user.is_active for user in self.catalogue.users)
        return None if is_gone else found

    def pipeline(self, name: str) -> Pipeline | None:
        """The pipeline called ``name``, by id or code too ("" = the main one); None if it vanished."""
        pipelines = self.catalogue.pipelines
        if not name:
            return next((found for found in pipelines if found.is_main), pipelines[0] if pipelines else None)
        wanted = self.bound.get(("pipeline", name))
        return next((p for p in pipelines if p.id in (wanted, name)), None) or _by_name(pipelines, name)

    def stage(self, pipeline: Pipeline, name: str) -> Stage | None:
        """The stage called ``name`` of ``pipeline``, by id or code too ("" = its first where deals may be made)."""
        if not name:
            return next((s for s in pipeline.stages if not s.is_unsorted and not s.is_final), None)
        wanted = self.bound.get(("stage", f"{pipeline.name}/{name}"))
        return next((s for s in pipeline.stages if s.id in (wanted, name)), None) or _by_name(pipeline.stages, name)

    def inbox(self, pipeline_id: str | None) -> Stage | None:
        """The stage of undecided enquiries of a pipeline (W2); None if it has none, or it is switched off."""
        found = next((one for one in self.catalogue.pipelines if one.id == pipeline_id and one.has_unsorted), None)
        return None if found is None else next((stage for stage in found.stages if stage.is_unsorted), None)

    def field_id(self, record: RecordKind, name: str) -> str | None:
        """The id of the custom field that the policy calls ``name``, by name or code."""
        wanted = self.bound.get(("field", f"{record.value}/{name}"))
        low = name.casefold()
        for found in self.catalogue.fields:
            if found.record is record and (
                found.id == wanted or found.name.casefold() == low or found.code.casefold() == low
            ):
                return found.id
        return None

    def task_type(self, name: str) -> str | None:
        """The id of the task type called ``name``, by name or code."""
        wanted = self.bound.get(("task_type", name))
        low = name.casefold()
        return next(
            (
                t.id
                for t in self.catalogue.task_types
                if t.id == wanted or low in (t.name.casefold(), t.code.casefold())
            ),
            None,
        )


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Kind = TypeVar("_Kind", bound=_Named)


def _by_name(known: Iterable[_Kind], name: str) -> _Kind | None:
    low = name.casefold()
    return next((found for found in known if found.name.casefold() == low), None)


def resolve(
    key: StepKey,
    action: Action,
    *,
    hub_id: str,
    names: Names,
    made: Mapping[StepKey, RecordRef],
    with_contact: Write | None = None,
    card: Callable[[RecordRef], str] = lambda ref: "",
) -> tuple[Write, tuple[str, ...]]:
    """The write for ``action``, and a remark for each name that the CRM lacks and that could be left out.

    ``made`` holds the records of steps that are done, ``card`` tells a record's address for people (C7). Raises
    `Unresolved` where leaving out would put the record on the wrong person or nowhere.
    """
    missing: list[str] = []

    def ref(name: str, value: Ref | None) -> dict[str, RecordRef]:
        if value is None:
            return {}
        if isinstance(value, RecordRef):
            return {name: value}
        if value.key in made:
            return {name: made[value.key]}
        if with_contact is not None and value.key == with_contact.key:
            return {}
        raise Unresolved(remark("owner_missing", record=value.kind.value))

    def user(employee: EmployeeId | None) -> UserId | None:
        found = names.user(employee)
        if employee is not None and found is None:
            raise Unresolved(remark("not_bound", employee=employee))
        return found

    def fields(record: RecordKind, wanted: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in wanted.items():
            field_id = names.field_id(record, name)
            if field_id is None:
                missing.append(remark("no_field", record=record.value, name=name))
            elif value:
                found[field_id] = value
        return found

    def place(pipeline_name: str, stage_name: str) -> tuple[str | None, str | None]:
        pipeline = names.pipeline(pipeline_name)
        if pipeline is None:
            missing.append(remark("no_pipeline", name=pipeline_name))
            pipeline, stage_name = names.pipeline(""), ""
        if pipeline is None:
            return None, None
        stage = names.stage(pipeline, stage_name)
        if stage is None:
            missing.append(remark("no_stage", pipeline=pipeline.name, name=stage_name))
            stage = names.stage(pipeline, "")
        return pipeline.id, stage.id if stage else None

    def move(pipeline_name: str, stage_name: str) -> tuple[str | None, str | None]:
        # a deal that somebody works on is not put back to a beginning because its next stage is gone
        pipeline = names.pipeline(pipeline_name)
        stage = None if pipeline is None else names.stage(pipeline, stage_name)
        if pipeline is None or stage is None:
            missing.append(remark("stays", pipeline=pipeline_name, name=stage_name))
            return None, None
        return pipeline.id, stage.id

    write: Write
    match action:
        case CreateContact():
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("company", action.company),
                user=user(action.responsible),
                fields=fields(RecordKind.CONTACT, action.fields),
            )
        case UpdateContact():
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("contact", action.contact) | ref("company", action.company),
                user=user(action.responsible),
                fields=fields(RecordKind.CONTACT, action.fields),
            )
        case CreateDeal():
            pipeline_id, stage_id = place(action.pipeline, action.stage)
            if action.is_unsorted:
                inbox = names.inbox(pipeline_id)
                if inbox is None:
                    missing.append(remark("no_inbox", pipeline=action.pipeline))
                    action = replace(action, is_unsorted=False)
                else:
                    stage_id = inbox.id
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("contact", action.contact) | ref("company", action.company),
                user=user(action.responsible),
                fields=fields(RecordKind.DEAL, action.fields),
                with_contact=with_contact,
                pipeline_id=pipeline_id,
                stage_id=stage_id,
            )
        case UpdateDeal():
            # where there is no inbox to leave, the deal stands in its stage already, or where a person moved it
            has_inbox = any(pipeline.has_unsorted for pipeline in names.catalogue.pipelines)
            is_moved = has_inbox if action.accepts else bool(action.pipeline or action.stage)
            if not is_moved:
                pipeline_id, stage_id = None, None
            elif action.accepts:
                # it leaves the inbox in any case: the first stage is better than none
                pipeline_id, stage_id = place(action.pipeline, action.stage)
            else:
                pipeline_id, stage_id = move(action.pipeline, action.stage)
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("deal", action.deal),
                user=user(action.responsible),
                fields=fields(RecordKind.DEAL, action.fields),
                pipeline_id=pipeline_id,
                stage_id=stage_id,
            )
        case CreateTask():
            type_id = names.task_type(action.type) if action.type else None
            if action.type and type_id is None:
                missing.append(remark("no_task_type", name=action.type))
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("on", action.on),
                user=user(action.assignee),
                task_type_id=type_id,
            )
        case UpdateTask():
            write = Write(
                key=key, action=action, hub_id=hub_id, refs=ref("task", action.task), user=user(action.assignee)
            )
        case CompleteTask():
            write = Write(key=key, action=action, hub_id=hub_id, refs=ref("task", action.task))
        case RecordCall():
            responsible = action.responsible
            write = Write(
                key=key,
                action=action,
                hub_id=hub_id,
                refs=ref("on", action.on),
                # a call record without its employee is still the truth; one that is missing is not
                user=names.author(responsible),
            )
            if responsible is not None and write.user is None:
                missing.append(remark("no_active_user", employee=responsible))
        case AddNote():
            write = Write(key=key, action=action, hub_id=hub_id, refs=ref("on", action.on))
        case Notify():
            users = tuple(found for found in map(names.user, action.employees) if found is not None)
            refs = {} if isinstance(action.on, NewRecord) and action.on.key not in made else ref("on", action.on)
            text = action.text.replace(CARD, card(refs["on"]) if "on" in refs else "").strip()
            write = Write(key=key, action=replace(action, text=text), hub_id=hub_id, refs=refs, users=users)
        case Nothing():
            raise Unresolved(remark("nothing_to_send"))
        case _:
            assert_never(action)
    return write, tuple(missing)
