"""How SQLite finds what a call's way through the hub asks for: by an index that few rows fit (DESIGN 11)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub.clock import FakeClock
from hub.store import decisions, expected, popups, steps, sweep, work
from hub.store.engine import Store, driver_connection
from hub.store.prepared import Prepared

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLANS = [
    # statement, the index with the columns that it is searched by
    (steps._OUTSTANDING, "step_interaction (interaction_id=? AND connection=?)"),
    (steps._OF_INTERACTION_THERE, "step_interaction (interaction_id=? AND connection=?)"),
    (steps._NEXT_MOMENT, "step_moment (project=? AND connection=? AND not_before>?)"),
    (steps._WAITING, "step_outstanding (project=? AND connection=? AND state=?)"),
    (steps._DUE_DOUBTS, "step_outstanding (project=? AND connection=? AND state=?)"),
    (sweep._BULK_WAITING, "step_outstanding (project=? AND connection=? AND state=? AND class=?)"),
    (decisions._FIRST_SNAPSHOT, "decision_interaction (interaction_id=? AND connection=?)"),
    (work._HEAD, "work_lane (client_id=? AND connection=?)"),
    (work._UNDECIDED, "work_open (project=? AND connection=?)"),
    (expected._PHONES, "work_open (project=? AND connection=?)"),
    (popups._OF_CLIENT, "popup_client (project=? AND client_id=?)"),
    (popups._FIND, "sqlite_autoindex_popup_1 (project=? AND key=?)"),
]


@pytest.mark.parametrize(("statement", "index"), PLANS, ids=[index for _, index in PLANS])
def test_no_statement_of_a_call_goes_through_all_rows_of_a_connection(
    statement: Prepared, index: str, tmp_path: Path
) -> None:
    """A hub with a million steps decides as fast as one with a thousand."""

    def plan(conn: Connection) -> list[str]:
        driver = driver_connection(conn)
        assert driver is not None
        sql = statement._text_of(conn.dialect, ()).sql
        return [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]

    with Store(f"sqlite:///{tmp_path}/hub.db", clock=FakeClock(NOW)) as store:
        lines = store.read_now(plan)
    assert any(line.endswith(f"INDEX {index}") for line in lines), lines
