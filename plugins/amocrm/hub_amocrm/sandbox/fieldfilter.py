"""``filter[custom_fields_values][<field id>]``: exact values, or ranges of numbers and dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .bracket import Node, texts
from .filter import bounds_of


def by_custom_fields(node: Node) -> Callable[[Any], bool]:
    """A test of a card or lead for every field named in the filter."""
    if not isinstance(node, dict):
        return lambda record: True
    checks = [_check(int(name), wanted) for name, wanted in node.items() if name.isdigit()]
    return lambda record: all(check(record) for check in checks)


def _check(field_id: int, wanted: Node) -> Callable[[Any], bool]:
    if isinstance(wanted, dict) and ("from" in wanted or "to" in wanted):
        first, last = bounds_of(wanted)

        def in_range(record: Any) -> bool:
            for value, _ in record.values.get(field_id, ()):
                try:
                    number = float(value)
                except (TypeError, ValueError):
                    continue
                if (first is None or number >= first) and (last is None or number <= last):
                    return True
            return False

        return in_range
    exact = {text.casefold() for text in texts(wanted)}

    def holds(record: Any) -> bool:
        stored = record.values.get(field_id, ())
        return any(str(value).casefold() in exact or str(enum) in exact for value, enum in stored)

    return holds
