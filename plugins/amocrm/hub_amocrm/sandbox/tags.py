"""Tags: the account's list of them, and putting them on cards (reference 6.2)."""

from __future__ import annotations

from typing import Any

from .ask import Ask, Form, forms, save_batch
from .bracket import numbers, texts
from .reply import Json, Reply, hal, link, listing
from .world import World


def list_tags(world: World, ask: Ask, kind: str) -> Reply:
    """GET /api/v4/{entity}/tags"""
    page, limit = ask.paging()
    node = ask.query.get("filter")
    wanted: dict[str, Any] = node if isinstance(node, dict) else {}
    ids, names = set(numbers(wanted.get("id"))), {name.casefold() for name in texts(wanted.get("name"))}
    query = str(ask.query.get("query") or "").casefold()
    found = [
        {"id": tag.id, "name": tag.name, "color": tag.color}
        for tag in world.tags[kind].by_id.values()
        if (not ids or tag.id in ids) and (not names or tag.name.casefold() in names) and query in tag.name.casefold()
    ]
    start = (page - 1) * limit
    return listing(
        "tags",
        found[start : start + limit],
        origin=ask.origin,
        path=ask.path,
        query=ask.pairs,
        page=page,
        limit=limit,
        more=len(found) > start + limit,
    )


def post_tags(world: World, ask: Ask, kind: str) -> Reply:
    """POST /api/v4/{entity}/tags"""
    batch = forms(ask.items())
    for form in batch:
        form.texts("name", "color")
        if "name" not in form.item:
            form.missing("name")
    saved = save_batch(batch, lambda form: world.tags[kind].named(form.draft["name"], form.draft.get("color")))
    items = [{"id": tag.id, "name": tag.name, "color": tag.color, "request_id": form.request_id} for form, tag in saved]
    body = {"_total_items": len(items), "_links": link(ask.origin + ask.path), "_embedded": {"tags": items}}
    return hal(body)


def read_tags(form: Form) -> None:
    """Check ``_embedded.tags``, ``tags_to_add`` and ``tags_to_delete`` of an item."""
    embedded = form.item.get("_embedded")
    if isinstance(embedded, dict) and "tags" in embedded:
        form.draft["tags"] = _tags(form, embedded["tags"] or [], "_embedded.tags")
    for name in ("tags_to_add", "tags_to_delete"):
        if form.item.get(name) is not None:
            form.draft[name] = _tags(form, form.item[name], name)


def tags_after(
    world: World, kind: str, before: tuple[int, ...], draft: Json
) -> tuple[tuple[int, ...], list[str], list[str]]:
    """(tags after the write, names that came, names that went)."""
    book = world.tags[kind]

    def ids(name: str) -> list[int]:
        found = []
        for tag in draft.get(name, ()):
            if tag.get("id") in book.by_id:
                found.append(tag["id"])
            elif isinstance(tag.get("name"), str):
                found.append(book.named(tag["name"]).id)
        return found

    after = list(dict.fromkeys(ids("tags"))) if "tags" in draft else list(before)
    after += [tag_id for tag_id in dict.fromkeys(ids("tags_to_add")) if tag_id not in after]
    gone = set(ids("tags_to_delete"))
    after = [tag_id for tag_id in after if tag_id not in gone]
    came = [book.by_id[tag_id].name for tag_id in after if tag_id not in before]
    went = [book.by_id[tag_id].name for tag_id in before if tag_id not in after]
    return tuple(after), came, went


def _tags(form: Form, sent: Any, path: str) -> list[Json]:
    if not isinstance(sent, list) or not all(isinstance(tag, dict) for tag in sent):
        form.wrong_type(path, "array")
        return []
    for index, tag in enumerate(sent):
        if tag.get("id") is None and not isinstance(tag.get("name"), str):
            form.missing(f"{path}.{index}.name")
    return sent
