"""What an employee wants to pop up is kept for that employee and project (U1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hub.core.popup import Preferences
from hub.core.records import EmployeeId
from hub.store import popup_preferences
from hub.store.engine import Store

OLENA, PETRO = EmployeeId("olena"), EmployeeId("petro")


async def test_whoever_never_chose_sees_everything_and_hears_nothing(store: Store) -> None:
    found = await store.read(lambda conn: popup_preferences.get(conn, "shop", OLENA))
    assert found == Preferences(calls=True, chats=True, messages=True, forms=True, records=True, sound=False)


async def test_a_choice_is_kept_replaced_and_nobody_elses(store: Store, now: datetime) -> None:
    quiet = Preferences(messages=False, sound=True)
    await store.write(lambda conn: popup_preferences.put(conn, "shop", OLENA, quiet, now))
    changed = replace(quiet, calls=False)
    await store.write(lambda conn: popup_preferences.put(conn, "shop", OLENA, changed, now))
    found = await store.read(lambda conn: popup_preferences.of_employees(conn, "shop", (OLENA, PETRO)))
    assert found == {OLENA: changed}
    assert await store.read(lambda conn: popup_preferences.get(conn, "warehouse", OLENA)) == Preferences()
