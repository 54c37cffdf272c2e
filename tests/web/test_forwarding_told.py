"""The callers of one second share the answers of their employees, and nobody is told what no longer holds (R2, X11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from hub.core.forwarding import Holder, HolderDeal, answer
from hub.core.phone import Phone
from hub.core.policy import load_policy
from hub.core.records import EmployeeId
from hub.core.snapshot import History
from hub.web.forwarding_told import Lately

POLICY = """
[project]
region = "UA"
time_zone = "UTC"
schedule = "office"

[identity]
shared_numbers = ["+380501112299"]

[schedules.office.hours]
"mon-fri" = ["09:00-18:00"]

[[employees]]
id = "olena"
name = "Olena"
mobiles = ["+380671110001"]
destinations = ["company_olena"]

[[employees]]
id = "petro"
name = "Petro"
destinations = ["company_petro"]

[[employees.absences]]
since = 2026-03-02T12:00:00Z
until = 2026-03-02T13:00:00Z
deputy = "olena"
"""
#: a Monday
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
OWNERS = (None, EmployeeId("olena"), EmployeeId("petro"), EmployeeId("gone"))
CALLERS = ("+380501112233", "+380501112299", "+380671110001", None)


def held(*deals: EmployeeId | None, by: EmployeeId | None, seen_at: datetime | None = None) -> tuple[Holder, ...]:
    found = tuple(HolderDeal(id=f"d{number}", responsible=one) for number, one in enumerate(deals))
    return (Holder(id="c1", responsible=by, open_deals=found, seen_at=seen_at),)


ALL: list[tuple[Holder, ...]] = [
    (),
    *(held(by=owner) for owner in OWNERS),
    *(held(deal, by=owner) for deal, owner in product(OWNERS, OWNERS)),
    held("olena", "petro", by=None),  # type: ignore[arg-type]  # ids
    (*held(by=OWNERS[1]), replace(held(by=OWNERS[2])[0], id="c2", fullness=3)),
    held(by=OWNERS[1], seen_at=NOON - timedelta(hours=1)),
]


@pytest.mark.parametrize("history", [None, History(last_talked=EmployeeId("petro"))], ids=["new", "talked"])
def test_it_answers_as_if_each_were_asked_for_alone(history: History | None) -> None:
    """Whoever asks, whatever was asked before, and at every edge of hours and absence."""
    policy, lately = load_policy(POLICY), Lately()
    edges = [NOON.replace(hour=hour) for hour in (9, 12, 13, 18)]
    moments = [edge + step for edge in edges for step in (-TICK, 0 * TICK, TICK, timedelta(seconds=0.9))]
    for now, caller, holders in product([*moments, *moments[::-1]], CALLERS, ALL):
        phone = None if caller is None else Phone(caller)
        found = lately.answer("shop", phone, holders, history, policy, now)
        assert found == answer(phone, holders, history or History(), policy, now), (now, caller, holders)


@pytest.mark.parametrize(
    ("at", "destinations"),
    [
        (NOON - TICK, ["company_petro", "company_petro"]),
        (NOON, ["company_olena", "company_olena"]),
        (NOON.replace(hour=18) - TICK, ["company_petro", "company_petro"]),
        (NOON.replace(hour=18), ["", ""]),
    ],
    ids=["before", "away", "last moment", "closed"],
)
def test_the_edge_of_a_second_is_the_edge_of_its_answers(at: datetime, destinations: Sequence[str]) -> None:
    policy, lately = load_policy(POLICY), Lately()
    lately.answer("shop", Phone(str(CALLERS[0])), held(by=OWNERS[2]), None, policy, at - timedelta(seconds=0.5))
    asked = [lately.answer("shop", Phone(str(CALLERS[0])), held(by=OWNERS[2]), None, policy, at) for _ in range(2)]
    assert [one.destination for one in asked] == list(destinations)


def test_a_new_policy_and_another_project_have_answers_of_their_own() -> None:
    lately, caller, holders = Lately(), Phone(str(CALLERS[0])), held(by=OWNERS[1])
    before, after = load_policy(POLICY), load_policy(POLICY.replace("company_olena", "company_new"))
    asked = [("shop", before), ("shop", after), ("garage", before), ("shop", after)]
    found = [lately.answer(name, caller, holders, None, policy, NOON).destination for name, policy in asked]
    assert found == ["company_olena", "company_new", "company_olena", "company_new"]
