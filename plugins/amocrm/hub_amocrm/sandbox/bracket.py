"""PHP's bracket notation, in which the vendor reads queries and writes webhooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote_plus

_PART = re.compile(r"\[([^\[\]]*)\]")

#: A decoded query: text, or more of the same under names or indexes.
Node = str | dict[str, Any]


def decode(query: str) -> dict[str, Any]:
    """``filter[id][0]=1`` as nested dicts; ``[]`` takes the next free index."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        head, bracket, rest = name.partition("[")
        parts = [head, *(_PART.findall(bracket + rest) if bracket else ())]
        node = root
        for index, part in enumerate(parts):
            key = part or str(len(node))
            if index == len(parts) - 1:
                node[key] = value
                break
            inner = node.get(key)
            if not isinstance(inner, dict):
                inner = node[key] = {}
            node = inner
    return root


def texts(node: Node | None) -> list[str]:
    """Every value under a node: ``a``, ``a[]``, ``a[0]`` are read alike."""
    if node is None:
        return []
    if isinstance(node, str):
        return [node]
    return [text for inner in node.values() for text in texts(inner)]


def numbers(node: Node | None) -> list[int]:
    """The whole numbers among a node's values; others are passed over."""
    return [int(text) for text in texts(node) if re.fullmatch(r"-?\d+", text)]


def encode(value: Any) -> str:
    """Nested dicts and lists as a form body; None is left out, booleans are 1 and 0."""
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in _flat("", value))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}[{key}]" if name else str(key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _flat(f"{name}[{index}]", inner)
    elif isinstance(value, bool):
        yield name, "1" if value else "0"
    elif value is not None:
        yield name, str(value)
