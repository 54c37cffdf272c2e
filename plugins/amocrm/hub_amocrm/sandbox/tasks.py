"""Tasks (reference 13)."""

from __future__ import annotations

import dataclasses
from typing import Any

from .ask import Ask, Form, forms, is_whole, save_batch
from .bracket import numbers, texts
from .collection import Selection
from .filter import Filters, answer
from .record import Task
from .reply import Json, Problem, Reply, collected, hal, link, nothing, problem
from .world import World

_ENTITIES = ("leads", "contacts", "companies", "customers")
_SIMPLE = ("text", "complete_till", "task_type_id", "responsible_user_id", "duration", "is_completed")
_FILTERS = Filters(
    members=("responsible_user_id", "created_by", "is_completed", "task_type_id", "entity_type"),
    orders=("created_at", "complete_till", "id", "updated_at"),
    special=(
        ("task_type", lambda node: lambda task: task.task_type_id in numbers(node)),
        ("entity_id", lambda node: lambda task: task.entity_id in numbers(node)),
    ),
)


def list_tasks(world: World, ask: Ask) -> Reply:
    """GET /api/v4/tasks; entity_id needs entity_type."""
    selection: Selection[Task] = _FILTERS.select(ask)
    node = ask.query.get("filter")
    if isinstance(node, dict) and "entity_id" in node:
        kinds = texts(node.get("entity_type"))
        if not kinds:
            return problem(400, "filter entity_id needs entity_type")
        groups = tuple((kind, i) for kind in kinds for i in numbers(node["entity_id"]))
        selection = dataclasses.replace(selection, group=groups, key=None)
    return answer(ask, "tasks", world.tasks, selection, lambda task: show(world, ask, task))


def get_task(world: World, ask: Ask) -> Reply:
    """GET /api/v4/tasks/{id}"""
    task = world.tasks.live(ask.id())
    return hal(show(world, ask, task)) if task else nothing()


def post_tasks(world: World, ask: Ask) -> Reply:
    """POST /api/v4/tasks: no check for duplicates."""
    batch = forms(ask.items())
    for form in batch:
        for name in ("text", "complete_till"):
            if form.item.get(name) is None:
                form.missing(name)
        read(world, form)
    saved = save_batch(
        batch, lambda form: create(world, form.draft, ask.user_id), partial=world.switches.partial_batches
    )
    items = [
        {"id": task.id, "request_id": form.request_id, "_links": link(f"{ask.origin}/api/v4/tasks/{task.id}")}
        for form, task in saved
    ]
    return collected("tasks", items, origin=ask.origin, path=ask.path)


def patch_tasks(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/tasks"""
    batch = forms(ask.items())
    for form in batch:
        if world.tasks.live(form.item.get("id")) is None:
            form.no_choice("id")
        read(world, form)

    def apply(form: Form) -> Task:
        task = world.tasks.live(form.item["id"])
        if task is None:
            raise Problem(problem(404, "Entity not found"))
        return update(world, task, form.draft, ask.user_id)

    saved = save_batch(batch, apply, partial=world.switches.partial_batches)
    items = [_patched(ask, task) | {"request_id": form.request_id} for form, task in saved]
    return collected("tasks", items, origin=ask.origin, path=ask.path)


def patch_task(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/tasks/{id}: completing is ``{"is_completed": true, "result": {"text": …}}``."""
    form = Form(ask.object(), "0")
    task = world.tasks.live(ask.id())
    if task is None:
        return problem(404, "Entity not found")
    read(world, form)
    save_batch([form], lambda read_form: update(world, task, read_form.draft, ask.user_id))
    return hal(_patched(ask, task))


def read(world: World, form: Form) -> None:
    """Check an item of a task."""
    form.texts("text")
    form.whole("complete_till", "duration", "created_at", "updated_at")
    form.flags("is_completed")
    form.users(world.is_active, "responsible_user_id", "created_by", "updated_by")
    kind = form.item.get("task_type_id")
    if kind is not None:
        if is_whole(kind) and any(kind == known for known, _, _ in world.account.task_types):
            form.draft["task_type_id"] = kind
        else:
            form.no_choice("task_type_id")
    _read_entity(world, form)
    result = form.item.get("result")
    if isinstance(result, dict):
        form.draft["result"] = str(result.get("text") or "")


def create(world: World, draft: Json, by: int) -> Task:
    """Store a new task from a checked draft."""
    now = world.now()
    author: int = draft.get("created_by", by)
    task = Task(
        id=world.ids.next("tasks"),
        text=draft["text"],
        complete_till=draft["complete_till"],
        task_type_id=draft.get("task_type_id", 1),
        responsible_user_id=draft.get("responsible_user_id", by),
        created_by=author,
        updated_by=draft.get("updated_by", author),
        created_at=draft.get("created_at") or now,
        updated_at=now,
        entity_id=draft.get("entity_id"),
        entity_type=draft.get("entity_type"),
        duration=draft.get("duration", 0),
        is_completed=draft.get("is_completed", False),
        result=draft.get("result"),
    )
    world.tasks.add(task)
    _set_closest(world, task.entity_type, task.entity_id)
    world.journal.task_added(task)
    return task


def update(world: World, task: Task, draft: Json, by: int) -> Task:
    """Change a task by a checked draft."""
    author: int = draft.get("updated_by", by)
    changed: Json = {}
    old_owner = (task.entity_type, task.entity_id)
    with world.tasks.editing(task):
        for name in (*_SIMPLE, "result", "entity_id", "entity_type"):
            if name in draft and draft[name] != getattr(task, name):
                changed[name] = getattr(task, name)
                setattr(task, name, draft[name])
        task.updated_at = max(world.now(), task.updated_at)
        task.updated_by = author
    _set_closest(world, *old_owner)
    _set_closest(world, task.entity_type, task.entity_id)
    world.journal.task_changed(task, changed, author)
    return task


def remove(world: World, task: Task, by: int) -> None:
    """Delete a task: only people can."""
    with world.tasks.editing(task):
        task.is_deleted = True
    _set_closest(world, task.entity_type, task.entity_id)
    world.journal.task_deleted(task, by)


def show(world: World, ask: Ask, task: Task) -> Json:
    """A task as answers show it; ``result`` is an empty array until there is one (reference 13)."""
    result: Any = {"text": task.result} if task.result is not None else []
    return {
        "id": task.id,
        "created_by": task.created_by,
        "updated_by": task.updated_by,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "responsible_user_id": task.responsible_user_id,
        "group_id": world.group_of(task.responsible_user_id),
        "entity_id": task.entity_id,
        "entity_type": task.entity_type,
        "duration": task.duration,
        "is_completed": task.is_completed,
        "task_type_id": task.task_type_id,
        "text": task.text,
        "result": result,
        "complete_till": task.complete_till,
        "account_id": world.account.id,
        "_links": link(f"{ask.origin}/api/v4/tasks/{task.id}"),
    }


def _read_entity(world: World, form: Form) -> None:
    entity_id, kind = form.item.get("entity_id"), form.item.get("entity_type")
    if entity_id is None and kind is None:
        return
    if entity_id is None or kind is None:
        form.missing("entity_type" if kind is None else "entity_id")
    elif kind not in _ENTITIES:
        form.no_choice("entity_type")
    elif world.card_or_lead(kind, entity_id) is None:
        form.no_choice("entity_id")
    else:
        form.draft |= {"entity_id": entity_id, "entity_type": kind}


def _set_closest(world: World, kind: str | None, entity_id: int | None) -> None:
    """The card's closest_task_at follows its open tasks; its change time does not."""
    record = world.card_or_lead(kind, entity_id) if kind else None
    if record is not None:
        open_tasks = [t.complete_till for t in world.tasks.of_group((kind, entity_id)) if not t.is_completed]
        record.closest_task_at = min(open_tasks, default=None)


def _patched(ask: Ask, task: Task) -> Json:
    self_link = link(f"{ask.origin}/api/v4/tasks/{task.id}")
    return {"id": task.id, "updated_at": task.updated_at, "_links": self_link}
