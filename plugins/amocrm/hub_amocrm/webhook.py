"""amoCRM's own webhooks: bracketed forms, told as records to read again (20.2)."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError, PayloadError
from hub.ports import Changes

__all__ = ["account_of", "check_account", "decode", "read_changes"]

Tree: TypeAlias = dict[str, Any]
_KINDS = {"leads": RecordKind.DEAL, "contacts": RecordKind.CONTACT, "task": RecordKind.TASK}
#: webhooks are not nested deeper than custom field values
_MOST_DEPTH = 12


def decode(body: bytes) -> Tree:
    """``leads[add][0][id]=1`` as nested dictionaries with text keys; values are unescaped from HTML.

    Raises PayloadError.
    """
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200_000)
    except (UnicodeDecodeError, ValueError) as err:
        raise PayloadError("the webhook is not a form", source="amocrm", raw=repr(body[:200])) from err
    tree: Tree = {}
    for name, value in pairs:
        _put(tree, _path(name), html.unescape(value))
    return tree


def _path(name: str) -> list[str]:
    head, *rest = name.split("[")
    return [head, *(part.rstrip("]") for part in rest)]


def _put(tree: Tree, path: list[str], value: str) -> None:
    if len(path) > _MOST_DEPTH:
        raise PayloadError("nested too deeply", source="amocrm", field=path[0])
    node = tree
    for part in path[:-1]:
        name = part or str(len(node))
        child = node.get(name)
        if not isinstance(child, dict):
            # a scalar and a branch under one name: the branch tells more
            child = node[name] = {}
        node = child
    last = path[-1] or str(len(node))
    if not isinstance(node.get(last), dict):
        node[last] = value


def account_of(tree: Tree) -> tuple[str, str]:
    """The id and sub-domain of the account that sent it; "" where missing."""
    account = tree.get("account")
    if not isinstance(account, dict):
        return "", ""
    return str(account.get("id", "")), str(account.get("subdomain", ""))


def check_account(tree: Tree, account_id: str, subdomain: str) -> None:
    """Webhooks are not signed: the account must at least be the connected one. Raises AccessError."""
    seen_id, seen_name = account_of(tree)
    if account_id:
        if seen_id != account_id:
            raise AccessError("the webhook belongs to another amoCRM account", endpoint="amocrm webhook")
    elif subdomain and seen_name != subdomain:
        raise AccessError("the webhook belongs to another amoCRM account", endpoint="amocrm webhook")


def read_changes(tree: Tree) -> Changes:
    """Which records changed and which are gone. Contents are not taken from the payload: it is unsigned, repeated,
    reordered and partial, so the records are to be read again."""
    touched: dict[RecordRef, None] = {}
    deleted: dict[RecordRef, None] = {}
    for word, default in _KINDS.items():
        for action, item in _items(tree, word):
            if action == "note":
                continue  # notes change nothing that the directory holds
            kind = RecordKind.COMPANY if word == "contacts" and item.get("type") == "company" else default
            ref = _ref(kind, item.get("id"), f"{word}[{action}][id]")
            (deleted if action == "delete" else touched)[ref] = None
    for _action, item in _items(tree, "unsorted"):
        touched |= dict.fromkeys(_of_incoming(item))
    return Changes(deleted=tuple(deleted), touched=tuple(ref for ref in touched if ref not in deleted))


def _items(tree: Tree, word: str) -> Iterable[tuple[str, Tree]]:
    actions = tree.get(word)
    if not isinstance(actions, dict):
        return
    for action, items in actions.items():
        for item in items.values() if isinstance(items, dict) else ():
            if isinstance(item, dict):
                yield action, item


def _ref(kind: RecordKind, record_id: object, field: str) -> RecordRef:
    if not isinstance(record_id, str) or not record_id.isdigit():
        raise PayloadError("a record without an id", source="amocrm", field=field, raw=str(record_id)[:100])
    return RecordRef(kind=kind, id=record_id)


def _of_incoming(item: Mapping[str, Any]) -> Iterable[RecordRef]:
    lead_id = item.get("lead_id")
    if isinstance(lead_id, str) and lead_id.isdigit():
        yield RecordRef(kind=RecordKind.DEAL, id=lead_id)
    for part in ("data", "accept_result", "decline_result"):
        group = item.get(part)
        if not isinstance(group, dict):
            continue
        for word, kind in (("leads", RecordKind.DEAL), ("contacts", RecordKind.CONTACT)):
            found = group.get(word)
            for value in found.values() if isinstance(found, dict) else ():
                record_id = value.get("id") if isinstance(value, dict) else value
                if isinstance(record_id, str) and record_id.isdigit():
                    yield RecordRef(kind=kind, id=record_id)
