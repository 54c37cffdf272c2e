"""Calls whose webhook never came are found in the vendor's own log and processed like the rest (X7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox as AmoCrm
from hub_ringostat.sandbox import Sandbox as Ringostat
from hub_ringostat.sandbox import serve as serve_ringostat
from hub_ringostat.sandbox.examples import ANSWERED, MISSED, OLENA, PETRO, TRANSFERRED
from hub_ringostat.sandbox.telephony import Call

from hub.core.interaction import Call as OurCall
from hub.errors import ConfigurationError, NeedsCredentials
from hub.runtime.channel_client import ChannelClients
from hub.runtime.reconcile import Reconciler
from hub.runtime.services import Services
from hub.store import events, inbox, interactions, projects, runs
from hub.store.runs import RunState
from tests.end_to_end.world import CHANNEL, PROJECT, World, world

pytestmark = pytest.mark.usefixtures("each_engine")

SINCE, UNTIL = ANSWERED.started_at - timedelta(hours=1), ANSWERED.started_at + timedelta(hours=5)


@dataclass(slots=True)
class Line:
    """A running hub, and the telephony whose log it can read."""

    company: World
    ringostat: Ringostat
    reconciler: Reconciler

    def calls(self) -> list[OurCall]:
        store = self.company.hub.services.store
        found = store.read_now(lambda conn: interactions.journal(conn, PROJECT))
        return [one.interaction for one in found if isinstance(one.interaction, OurCall)]

    async def recover(self, since: datetime = SINCE, until: datetime = UNTIL, *, dry: bool = False) -> list[str]:
        report = await self.reconciler.recover(PROJECT, CHANNEL, since, until, is_dry_run=dry)
        return [one.external_id for one in report.recovered]


def _has_looked(services: Services) -> bool:
    found = services.store.read_now(lambda conn: runs.latest(conn, "reconcile"))
    return bool(found) and found[0].state is not RunState.RUNNING


@asynccontextmanager
async def line(tmp_path: Path, amocrm: tuple[AmoCrm, str], *calls: Call) -> AsyncIterator[Line]:
    ringostat = Ringostat(employees=(OLENA, PETRO))
    ringostat.add(*calls)
    with serve_ringostat(ringostat) as (_, url):
        async with world(tmp_path, *amocrm) as company:
            services = company.hub.services
            # the hub's own first look, at a channel that has no key yet
            await company.until(lambda: _has_looked(services))
            settings = {"api_base": url, "auth_key": ringostat.auth_key, "project_id": str(ringostat.project_id)}
            await services.store.write(
                lambda conn: projects.change_channel(conn, services.cipher, PROJECT, CHANNEL, settings)
            )
            await services.projects.reload()
            clients = ChannelClients(services.plugins, services.clock)
            reconciler = Reconciler(
                services.store,
                services.clock,
                services.projects,
                services.plugins,
                http=clients,
                announce=company.hub.ingest.announce,
            )
            try:
                yield Line(company=company, ringostat=ringostat, reconciler=reconciler)
            finally:
                await clients.close()


async def test_a_lost_call_is_recovered_and_reaches_the_crm(tmp_path: Path, amocrm: tuple[AmoCrm, str]) -> None:
    async with line(tmp_path, amocrm, ANSWERED) as found:
        assert await found.recover() == [ANSWERED.id]
        await found.company.settled(1)
        assert len(found.company.records()["contacts"]) == 1
        assert [call.is_recovered for call in found.calls()] == [True]
        store = found.company.hub.services.store
        rows = store.read_now(lambda conn: inbox.list_received(conn, project=PROJECT))
        assert [(row.kind, row.status, bool(row.interaction_id)) for row in rows] == [("recovered", "done", True)]
        told = store.read_now(lambda conn: events.read_after(conn, 0))
        reported = [event.body for event in told if event.kind == "interaction.recovered"]
        assert len(reported) == 1
        assert "501112233" not in str(reported)


async def test_a_dry_run_reports_and_changes_nothing(tmp_path: Path, amocrm: tuple[AmoCrm, str]) -> None:
    async with line(tmp_path, amocrm, ANSWERED, MISSED) as found:
        assert sorted(await found.recover(dry=True)) == sorted([ANSWERED.id, MISSED.id])
        assert found.calls() == []
        assert sorted(await found.recover()) == sorted([ANSWERED.id, MISSED.id])


async def test_known_calls_stay_untouched_and_nothing_is_recovered_twice(
    tmp_path: Path, amocrm: tuple[AmoCrm, str]
) -> None:
    async with line(tmp_path, amocrm, ANSWERED, TRANSFERRED) as found:
        known = {"type": "in", "uniqueid": ANSWERED.id, "calldate": "2026-07-29 12:00:00", "disposition": "ANSWERED"}
        await found.company.webhook("after", known | {"billsec": "62", "caller": "380501112233", "dst": "380441234567"})
        await found.company.settled(1)
        before = {call.external_id: call for call in found.calls()}
        assert await found.recover() == [TRANSFERRED.id]
        after = {call.external_id: call for call in found.calls()}
        assert after[ANSWERED.id] == before[ANSWERED.id]
        assert await found.recover() == []


async def test_a_call_whose_last_webhook_was_lost_is_finished_from_the_log(
    tmp_path: Path, amocrm: tuple[AmoCrm, str]
) -> None:
    async with line(tmp_path, amocrm, ANSWERED) as found:
        await found.company.webhook(
            "before", {"uniqueid": ANSWERED.id, "caller": "380501112233", "dst": "380441234567", "type": "in"}
        )
        store = found.company.hub.services.store
        await found.company.until(lambda: bool(found.calls()))
        stored = store.read_now(lambda conn: interactions.find_external(conn, PROJECT, CHANNEL, ANSWERED.id))
        assert stored is not None
        assert stored.decide_at is None
        assert await found.recover() == [ANSWERED.id]
        await found.company.settled(1)
        assert [call.is_answered for call in found.calls()] == [True]


async def test_repeated_rows_of_one_call_are_one_interaction(tmp_path: Path, amocrm: tuple[AmoCrm, str]) -> None:
    """A9: the log has been seen to tell a call twice."""
    async with line(tmp_path, amocrm, TRANSFERRED) as found:
        found.ringostat.repeat_rows = True
        assert await found.recover() == [TRANSFERRED.id]
        await found.company.settled(1)
        assert len(found.calls()) == 1


async def test_a_vendor_that_refuses_is_said_once_and_caught_up_with(
    tmp_path: Path, amocrm: tuple[AmoCrm, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with line(tmp_path, amocrm) as found:
        found.ringostat.is_forbidden = True
        caplog.clear()
        with pytest.raises(NeedsCredentials):
            await found.recover()
        for _ in range(2):
            assert await found.reconciler.reconcile() == []
        away = [record for record in caplog.records if getattr(record, "action", "") == "reconcile.away"]
        assert len(away) == 1
        found.ringostat.is_forbidden = False
        reports = await found.reconciler.reconcile()
        assert [report.channel for report in reports] == [CHANNEL]


async def test_a_look_reaches_back_to_the_last_one_that_went_through(
    tmp_path: Path, amocrm: tuple[AmoCrm, str]
) -> None:
    """After the hub was down for a day, a day is read."""
    async with line(tmp_path, amocrm) as found:
        services = found.company.hub.services
        yesterday = (services.clock.now() - timedelta(days=1)).isoformat()
        await services.store.write(lambda conn: projects.set_channel_cursor(conn, PROJECT, CHANNEL, yesterday))
        (report,) = await found.reconciler.reconcile()
        assert report.until - report.since >= timedelta(days=1)
        (report,) = await found.reconciler.reconcile()
        assert report.until - report.since < timedelta(hours=5)


async def test_a_channel_without_a_log_is_told_so(tmp_path: Path, amocrm: tuple[AmoCrm, str]) -> None:
    async with line(tmp_path, amocrm) as found:
        with pytest.raises(ConfigurationError, match="no channel"):
            await found.reconciler.recover(PROJECT, "nowhere", SINCE, UNTIL, is_dry_run=True)
