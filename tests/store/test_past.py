"""The past is read in its order, in slices (X2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hub.core.interaction import ClientId, InteractionId, ProjectId
from hub.core.plan import Plan
from hub.store import decisions, interactions, past
from hub.store.engine import Store
from hub.testing.builders import NEW_CLIENT, NOW, missed, plan, policy

RULES = policy("car-dealer")
HOUR = timedelta(hours=1)


def lay(
    conn: Any, number: int, at: datetime, *, decided: int = 1, project: str = "p", turns: dict[str, Any] | None = None
) -> None:
    """Interaction ``number``, decided so many times from ``at`` on, an hour apart."""
    call = replace(
        missed(), id=InteractionId(f"i{number}"), external_id=str(number), started_at=at, project=ProjectId(project)
    )
    interactions.put(conn, call, client_id=ClientId(f"c{number}"), received_at=at, decide_at=at)
    made: Plan = replace(plan(call, NEW_CLIENT, RULES), turns=turns or {})
    for revision in range(decided):
        decisions.add(
            conn, interaction_id=call.id, connection="crm", project=project, revision=1, policy_version=1,
            snapshot=NEW_CLIENT, plan=made, now=at + revision * HOUR,
        )  # fmt: skip


def test_a_period_is_read_in_slices_in_the_order_of_decisions(store: Store) -> None:
    def fill(conn: Any) -> None:
        lay(conn, 1, NOW - 5 * HOUR, turns={"all": {"ivan": "0@1"}})
        lay(conn, 2, NOW, decided=2)
        lay(conn, 3, NOW + HOUR, project="another")
        lay(conn, 4, NOW + 2 * HOUR)
        lay(conn, 5, NOW + 3 * HOUR, decided=0)
        lay(conn, 6, NOW + 9 * HOUR)

    store.write_now(fill)

    def read(conn: Any) -> None:
        period = past.find_period(conn, "p", NOW, NOW + 8 * HOUR)
        first = past.read_slice(conn, period, 0, 2)
        rest = past.read_slice(conn, period, first[-1].id, 2)
        assert [(one.interaction_id, one.is_last, one.is_begun) for one in [*first, *rest]] == [
            ("i2", False, False),
            ("i2", True, False),
            ("i4", True, False),
        ]
        assert past.read_slice(conn, period, rest[-1].id, 2) == []
        assert [one.is_counted for one in past.read_slice(conn, period, 0, 9, channel="other")] == [False] * 3
        one = first[0]
        assert one.interaction is not None
        assert one.interaction.id == "i2"
        assert one.says(one.plan)
        assert not one.says(replace(one.plan, responsible=None))
        assert one.snapshot == NEW_CLIENT
        assert (one.made, one.gist.responsible) == ({}, one.plan.responsible)
        assert past.turns_before(conn, period, ["all", "none"]) == {"all": {"ivan": "0@1"}}
        assert past.undecided(conn, period) == 1
        late = past.find_period(conn, "p", NOW + HOUR / 2, NOW + 8 * HOUR)
        assert [one.is_begun for one in past.read_slice(conn, late, 0, 9)] == [True, False]
        nothing = past.find_period(conn, "p", NOW + 20 * HOUR, NOW + 21 * HOUR)
        assert past.read_slice(conn, nothing, 0, 9) == []

    store.read_now(read)
