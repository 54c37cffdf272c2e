"""Popups as rows: each movement told once, the second of two movers looks again, late comers catch up (DESIGN 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hub.core.interaction import Direction, InteractionId
from hub.core.popup import Addressee, Popup, PopupState
from hub.core.records import EmployeeId
from hub.core.shown import Shown
from hub.store import events, popups, presence
from hub.store.engine import Store
from hub.store.popups import DISMISSED, SHOWN, Kept, Told

OLENA, PETRO = EmployeeId("olena"), EmployeeId("petro")


def ringing(now: datetime, *employees: EmployeeId, key: str = "i1") -> Told:
    to = tuple(Addressee(employee=one, state=PopupState.RINGING, why="rung") for one in employees)
    popup = Popup(
        key=key, kind="call", interaction=InteractionId("i1"), direction=Direction.INBOUND, at=now, to=to, text="привіт"
    )
    return Told(popup=popup, shown=Shown(client_id="c1", name="Jana"), call_id="ua0_-1.1")


def put(store: Store, before: Kept | None, told: Told, now: datetime) -> Kept | None:
    return store.write_now(lambda conn: popups.put(conn, "shop", before, told, now))


def told_to(store: Store, now: datetime) -> list[tuple[str, list[str]]]:
    """The kind and the addressees of every event, in order."""
    found = store.read_now(lambda conn: events.read_after(conn, 0))
    return [(event.kind, event.body["to"]) for event in found]


def test_popup_is_kept_whole_and_told_to_whom_it_is_shown(store: Store, now: datetime) -> None:
    told = ringing(now, OLENA, PETRO)
    put(store, None, told, now)
    kept = store.read_now(lambda conn: popups.find(conn, "shop", "i1"))
    assert kept is not None
    assert (kept.told, kept.version, kept.updated_at) == (told, 1, now)
    [event] = store.read_now(lambda conn: events.recent(conn, SHOWN, now))
    assert (event.id, popups.load_told(event.body)) == (kept.event_id, told)
    assert told_to(store, now) == [(SHOWN, ["olena", "petro"])]
    assert store.read_now(lambda conn: popups.find(conn, "warehouse", "i1")) is None
    assert [one.told for one in store.read_now(lambda conn: popups.of_client(conn, "shop", "c1"))] == [told]


def test_whoever_is_rung_no_more_is_told_to_take_it_away(store: Store, now: datetime) -> None:
    kept = put(store, None, ringing(now, OLENA), now)
    put(store, kept, ringing(now, PETRO), now)
    assert told_to(store, now) == [(SHOWN, ["olena"]), (DISMISSED, ["olena"]), (SHOWN, ["petro"])]


def test_second_of_two_movers_changes_nothing_and_looks_again(store: Store, now: datetime) -> None:
    """Two processes take in two webhooks of one call."""
    first = put(store, None, ringing(now, OLENA), now)
    assert put(store, None, ringing(now, PETRO), now) is None
    assert put(store, first, ringing(now, OLENA, PETRO), now) is not None
    assert put(store, first, ringing(now, PETRO), now) is None
    assert told_to(store, now) == [(SHOWN, ["olena"]), (SHOWN, ["olena", "petro"])]


def test_of_many_movers_at_once_one_wins(store: Store, now: datetime, run_at_once: Callable[..., list[Any]]) -> None:
    kept = put(store, None, ringing(now, OLENA), now)
    moved = run_at_once(*[lambda: put(store, kept, ringing(now, OLENA, PETRO), now)] * 4)
    assert sum(one is not None for one in moved) == 1
    assert told_to(store, now) == [(SHOWN, ["olena"]), (SHOWN, ["olena", "petro"])]


def test_dismissed_stays_dismissed_until_the_employee_talks_or_something_new_comes(store: Store, now: datetime) -> None:
    put(store, None, ringing(now, OLENA, PETRO), now)
    assert store.write_now(lambda conn: popups.dismiss(conn, "shop", "i1", (OLENA,), now)) is True
    assert store.write_now(lambda conn: popups.dismiss(conn, "shop", "i1", (OLENA,), now)) is False
    assert store.write_now(lambda conn: popups.dismiss(conn, "shop", "i9", (OLENA,), now)) is False
    kept = store.read_now(lambda conn: popups.find(conn, "shop", "i1"))
    assert kept is not None
    assert kept.dismissed == {OLENA}
    both = kept.popup.to
    missed = replace(kept.popup, to=tuple(replace(one, state=PopupState.MISSED) for one in both))
    kept = put(store, kept, replace(kept.told, popup=missed), now)
    talking = replace(missed, to=(replace(both[0], state=PopupState.TALKING), both[1]))
    kept = put(store, kept, Told(popup=talking), now)
    assert kept is not None
    assert kept.dismissed == frozenset()
    assert store.write_now(lambda conn: popups.dismiss(conn, "shop", "i1", None, now)) is True
    kept = store.read_now(lambda conn: popups.find(conn, "shop", "i1"))
    anew = replace(talking, interaction=InteractionId("i2"))
    put(store, kept, Told(popup=anew), now)
    assert told_to(store, now) == [
        (SHOWN, ["olena", "petro"]),
        (DISMISSED, ["olena"]),
        (SHOWN, ["petro"]),
        (SHOWN, ["olena", "petro"]),
        (DISMISSED, ["olena", "petro"]),
        (SHOWN, ["olena", "petro"]),
    ]


def test_late_comer_gets_what_moved_since_and_what_is_recent(store: Store, now: datetime) -> None:
    old, later = now - timedelta(hours=3), now - timedelta(minutes=5)
    first = put(store, None, ringing(old, OLENA, key="old"), old)
    put(store, None, ringing(later, OLENA, key="later"), later)
    assert first is not None

    def keys(after: int) -> list[str]:
        recent = now - timedelta(hours=1)
        found = store.read_now(lambda conn: popups.since(conn, "shop", after, now=now, recent=recent))
        return [one.popup.key for one in found]

    assert keys(0) == ["old", "later"]
    assert keys(first.event_id) == ["later"]
    # beyond any event: on PostgreSQL an id carries its transaction
    assert keys(2**62) == ["later"]
    assert store.write_now(lambda conn: popups.forget_before(conn, now - timedelta(hours=1))) == 1
    assert keys(0) == ["later"]


def test_open_tabs_are_those_that_were_said_to_be_open_lately(store: Store, now: datetime) -> None:
    """Of every process; a word that is not renewed runs out."""
    soon, late = now + timedelta(seconds=10), now + timedelta(seconds=40)

    def present(at: datetime) -> set[tuple[str, str]]:
        return set(store.read_now(lambda conn: presence.present(conn, "shop", at)))

    for employee, process in ((OLENA, "one"), (OLENA, "two"), (PETRO, "two")):
        store.write_now(
            lambda conn, employee=employee, process=process: presence.begin(  # type: ignore[misc]  # a default in a lambda
                conn, "shop", "amo", employee, process=process, until=soon
            )
        )
    assert present(now) == {("amo", "olena"), ("amo", "petro")}
    store.write_now(lambda conn: presence.renew(conn, "two", [("shop", "amo", PETRO)], now=now, until=late))
    assert present(soon + timedelta(seconds=1)) == {("amo", "petro")}
    store.write_now(lambda conn: presence.end(conn, "shop", "amo", PETRO, process="two", until=now))
    assert present(now + timedelta(seconds=1)) == {("amo", "olena")}
    assert store.write_now(lambda conn: presence.forget_before(conn, late)) == 3
