"""A channel whose webhooks stopped is told once; what reconciliation brings does not hide it (X7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from hub.clock import FakeClock
from hub.compose import build_services
from hub.runtime.services import Services
from hub.runtime.silence import SilenceAlarm, hourly_counts
from hub.settings import Settings
from hub.store import events, policies, projects
from hub.store.schema import fragment, inbox, interaction

PROJECT, CHANNEL = "shop", "ringostat"
#: a Tuesday, 13:02 in Kyiv
NOON = datetime(2026, 5, 12, 10, 2, tzinfo=UTC)
POLICY = """
[project]
time_zone = "Europe/Kyiv"
schedule = "office"

[schedules.office]
hours = { "mon-fri" = ["09:00-18:00"] }
"""


@dataclass(slots=True)
class Shop:
    services: Services
    clock: FakeClock
    alarm: SilenceAlarm

    def told(self) -> list[tuple[str, str]]:
        found = self.services.store.read_now(lambda conn: events.read_after(conn, 0))
        return [(event.kind, event.body["channel"]) for event in found]


def add_calls(conn: Connection, moments: Iterable[datetime], kind: str = "hook", *, after: int = 100_000) -> None:
    """One call at each moment, numbered from ``after`` on."""
    calls = [(number, at) for number, at in enumerate(moments, after)]
    conn.execute(
        insert(inbox),
        [
            {"id": number, "project": PROJECT, "channel": CHANNEL, "kind": kind, "received_at": at, "status": "done"}
            for number, at in calls
        ],
    )
    conn.execute(
        insert(interaction),
        [
            {
                "id": f"i{number}",
                "sequence": number,
                "project": PROJECT,
                "channel": CHANNEL,
                "external_id": f"x{number}",
                "kind": "call",
                "client_id": "c",
                "started_at": at,
                "received_at": at,
                "body": b"{}",
            }
            for number, at in calls
        ],
    )
    conn.execute(
        insert(fragment),
        [
            {"interaction_id": f"i{number}", "digest": "d", "inbox_id": number, "body": b"", "received_at": at}
            for number, at in calls
        ],
    )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Eight weeks of ten calls in each working hour, until 11 o'clock of today; then nothing."""
    clock = FakeClock(NOON)
    services = build_services(Settings(environment="development", data_directory=tmp_path), clock)
    store = services.store

    def fill(conn: Connection) -> None:
        projects.add_project(conn, PROJECT, now=NOON)
        policies.publish(conn, PROJECT, text=POLICY, author="test", based_on=None, now=NOON)
        projects.add_channel(
            conn, services.cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=NOON
        )
        moments = []
        for days in range(56, -1, -1):
            for hour in range(6, 15):
                at = (NOON - timedelta(days=days)).replace(hour=hour, minute=0)
                if at.weekday() < 5 and at < NOON.replace(hour=8, minute=0):
                    moments += [at + timedelta(minutes=5 * minute) for minute in range(10)]
        add_calls(conn, moments, after=1)

    store.write_now(fill)
    services.projects.reload_now()
    try:
        yield Shop(services=services, clock=clock, alarm=SilenceAlarm(store, clock, services.projects))
    finally:
        services.close()


async def test_two_silent_hours_are_told_once_and_taken_back(shop: Shop) -> None:
    found = await shop.alarm.check()
    assert found[PROJECT, CHANNEL].seen == 0
    assert found[PROJECT, CHANNEL].since == datetime(2026, 5, 12, 8, tzinfo=UTC)
    await shop.alarm.check()
    assert shop.told() == [("channel.silent", CHANNEL)]
    assert set(await shop.alarm.silent(PROJECT)) == {CHANNEL}
    # another process, after a restart, does not tell it again
    await SilenceAlarm(shop.services.store, shop.clock, shop.services.projects).check()
    assert len(shop.told()) == 1
    shop.services.store.write_now(lambda conn: add_calls(conn, (NOON + timedelta(minutes=n) for n in range(30))))
    shop.clock.advance(timedelta(hours=1))
    assert not await shop.alarm.check()
    assert shop.told() == [("channel.silent", CHANNEL), ("channel.heard", CHANNEL)]
    assert not await shop.alarm.silent(PROJECT)


async def test_recovered_calls_are_no_sign_of_life(shop: Shop) -> None:
    shop.services.store.write_now(
        lambda conn: add_calls(conn, (NOON - timedelta(minutes=n) for n in range(1, 60)), "recovered")
    )
    assert await shop.alarm.check()


async def test_nothing_is_judged_outside_working_hours(shop: Shop) -> None:
    shop.clock.advance(timedelta(hours=9))
    assert not await shop.alarm.check()
    assert shop.told() == []


def test_hours_are_counted_by_the_first_word_of_an_interaction(shop: Shop) -> None:
    counts = shop.services.store.read_now(lambda conn: hourly_counts(conn, PROJECT, CHANNEL, NOON - timedelta(hours=6)))
    assert counts == {datetime(2026, 5, 12, hour, tzinfo=UTC): 10 for hour in (6, 7)}
