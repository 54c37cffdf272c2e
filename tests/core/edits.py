"""Edits of a policy's rows and rules as hypothesis draws them: rules added, rows taken out or moved (X2)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st

from hub.core.policy import Policy
from hub.testing import builders

__all__ = ["Drawn", "edits", "read"]


def read(preset: str, more: str = "") -> dict[str, Any]:
    """A preset with the team, as plain data."""
    text = files("hub.presets").joinpath(f"{preset}.toml").read_text(encoding="utf-8")
    return tomllib.loads(f"{text}\n{builders.TEAM}\n{more}")


#: of the interaction alone, of the CRM, of both
_TESTS = (
    {"direction": "inbound"}, {"is_missed": True}, {"kind": ["call", "form"]}, {"line": builders.LINE},
    {"utm_source": {"exists": True}}, {"talk_seconds": {"at_least": 50}}, {"disposition": "voicemail"},
    {"moment": {"weekday": ["mon", "tue", "wed"]}}, {"country": "UA"}, {"parameters": {"form": {"exists": True}}},
    {"answered_by": ["olena", "ivan"]}, {"is_callback": True}, {"is_working_hours": True}, {"phones": builders.PHONE},
    {"is_new_client": True}, {"has_open_deal": True}, {"responsible": "olena"}, {"is_first_outgoing": True},
    {"last_talked": {"exists": True}}, {"has_open_call_back": True}, {"price": {"less": 5}}, {"deal.stage": "Hot"},
    {"by_responsible": True}, {"interactions": {"at_least": 2}}, {"may_write": True}, {"duplicates": {"at_least": 1}},
)  # fmt: skip
conditions = st.recursive(
    st.sampled_from(_TESTS),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)
_OUTCOMES = ({"stage": "Hot"}, {"responsible": ["head"]}, {"tags": ["new"]}, {"deal": "none"}, {"drop": "of no use"})
rules = st.builds(
    lambda when, sets, stop: {**({} if when is None else {"when": when}), **sets, "stop": stop},
    st.none() | conditions,
    st.sampled_from(_OUTCOMES),
    st.booleans(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One edit."""

    #: rules that come and where; rules that go, and rows that go, or go to the top, by their places
    added: tuple[tuple[int, dict[str, Any]], ...]
    dropped_rules: frozenset[int]
    dropped_rows: frozenset[int]
    raised_rows: tuple[int, ...]
    stops_at_first: bool

    def of(self, data: dict[str, Any]) -> Policy:
        """The policy that ``data`` becomes by it."""
        rules = [rule for place, rule in enumerate(data.get("rules", [])) if place not in self.dropped_rules]
        for number, (place, rule) in enumerate(self.added):
            rules.insert(place, {"name": f"added {number}", **rule})
        rows = data["matrix"]
        raised = [rows[place] for place in self.raised_rows if place < len(rows)]
        rows = [
            *raised,
            *(row for place, row in enumerate(rows) if place not in self.dropped_rows and row not in raised),
        ]
        return Policy.model_validate(
            {**data, "rules": rules, "matrix": rows, "stop_at_first_rule": self.stops_at_first, "example": []}
        )


edits = st.builds(
    Drawn,
    added=st.lists(st.tuples(st.integers(0, 3), rules), max_size=3).map(tuple),
    dropped_rules=st.frozensets(st.integers(0, 3), max_size=2),
    dropped_rows=st.frozensets(st.integers(0, 12), max_size=1),
    raised_rows=st.lists(st.integers(0, 12), max_size=1).map(tuple),
    stops_at_first=st.sampled_from([False, False, False, True]),
)
