"""Replay with intent: one, a filter, a period; by today's rules or by those of then; nothing twice (X13, H4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import select
from typer.testing import CliRunner

from hub.cli import app
from hub.core.interaction import InteractionId
from hub.runtime.replay import Replays, Report, Rules, Wanted, offline_advance, report_json
from hub.store import decisions, policies, schema, steps, work
from hub.store.replays import Selection
from hub.store.work import WorkState
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

FAST = '[timing]\nsettle = "0.02 s"\ndoubt_wait = "0.2 s"\nrequest_timeout = "4 s"\n'
POLICY = preset("car-dealer") + FAST
MISSED = {"disposition": "NO ANSWER", "billsec": "0", "duration": "20", "waiting": "20", "dst": "380441234567"}
ANSWERED = {"disposition": "ANSWERED", "billsec": "60", "duration": "70", "dst": "380441234567"}
OLEG, ANNA = {"connected_with": "examplecom_oleg"}, {"connected_with": "examplecom_anna"}


def call(number: int, client: int, minute: int, *more: Mapping[str, str], **values: str) -> dict[str, str]:
    found = {"type": "in", "uniqueid": f"ua0_-{number}", "calldate": f"2026-07-29 11:{minute:02d}:00"}
    found["caller"] = f"3805011122{client:02d}"
    for part in more:
        found |= part
    return found | values


#: a day: a missed call that is repeated and then called back, new clients, an existing one
DAY = [
    call(1, 1, 1, MISSED, ANNA),
    call(2, 1, 3, MISSED, ANNA),
    call(3, 2, 4, ANSWERED, OLEG),
    call(5, 3, 7, ANSWERED, ANNA),
    call(6, 2, 9, ANSWERED, ANNA),
    call(7, 3, 12, MISSED, ANNA),
]
CALLED_BACK = {
    "type": "out",
    "uniqueid": "ua0_-4",
    "calldate": "2026-07-29 11:06:00",
    "disposition": "ANSWERED",
    "billsec": "30",
    "duration": "40",
    "caller": "examplecom_oleg",
    "callee": "380501112201",
    "outbound_number": "380441234567",
}


async def play(company: World) -> None:
    """The day, one after the other, as a day is."""
    for count, one in enumerate(DAY, start=1):
        await company.webhook("after", one)
        await company.settled(count)
    await company.webhook("outgoing_after", CALLED_BACK)
    await company.settled(len(DAY) + 1)


def content(company: World) -> dict[str, list[dict[str, Any]]]:
    """What the CRM holds, without when it was touched."""
    return {
        kind: [{name: value for name, value in one.items() if name != "updated_at"} for one in found]
        for kind, found in company.records().items()
        if isinstance(found, list)
    }


def replay(company: World, rules: Rules = "now", *, write: bool = False, wanted: Wanted | None = None) -> Report:
    """As ``hub replay`` does it, beside the running hub."""
    services = company.hub.services
    replays = Replays(services.store, services.clock, offline_advance(services))
    report = Report(project=PROJECT, rules=rules)
    for one in replays.look(wanted or Wanted(selection=Selection(project=PROJECT)), rules):
        report.add(one)
    if write:
        report.opened = replays.open(report.to_do)
        report.is_written = True
        services.sweep()
    return report


async def over(company: World) -> None:
    """Until nothing is open or being written."""

    def is_over() -> bool:
        states = company.hub.services.store.read_now(work.count_states)
        return not any(count for (_, state), count in states.items() if state in ("open", "writing"))

    await company.until(is_over)


async def publish(company: World, text: str) -> None:
    """The next version of the policy, in force."""
    services = company.hub.services
    now = services.clock.now()

    def put(conn: Any) -> int:
        head = policies.head(conn, PROJECT)
        assert head is not None
        made = policies.publish(conn, PROJECT, text=text, author="test", based_on=head.version, now=now)
        return made.version

    version = await services.store.write(put)
    services.changed()
    await company.until(lambda: services.projects.get(PROJECT).policy_version == version)


def id_of(company: World, external: str) -> InteractionId:
    table = schema.interaction
    found = company.hub.services.store.read_now(
        lambda conn: conn.execute(select(table.c.id).where(table.c.external_id == external)).scalar_one()
    )
    return InteractionId(found)


async def reopen_all(company: World, urgency: int) -> None:
    """Decide everything anew whether or not anything would change: what the look spares must do no harm either."""
    services = company.hub.services
    now = services.clock.now()

    def reopen(conn: Any) -> None:
        for one in conn.execute(select(schema.work.c.interaction_id)).scalars().all():
            assert work.reopen(conn, InteractionId(one), CRM, now, urgency=urgency)

    await services.store.write(reopen)
    services.sweep()
    await over(company)


async def test_replaying_a_whole_day_twice_changes_nothing_in_the_crm(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X13: by the same rules nothing is to be done; and were it done all the same, nothing would come of it."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await play(company)
        before = content(company)
        assert [task["is_completed"] for task in before["tasks"] if "ерезвон" in task["text"]].count(False) == 2
        both: tuple[Rules, ...] = ("now", "then")
        for rules in both:
            report = replay(company, rules, write=True)
            assert (report.looked_at, report.unchanged, report.opened) == (len(DAY) + 1, len(DAY) + 1, 0)
        for urgency in (2, 3):
            await reopen_all(company, urgency)
            assert content(company) == before
        second = id_of(company, "ua0_-2")
        made = await company.hub.services.store.read(lambda conn: decisions.list_decisions(conn, second))
        assert [one.purpose for one in made] == ["decision", "replay", "replay"]


async def test_rules_of_today_differ_from_those_of_then(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X13: the dry run shows what today's rules would add, writes nothing; done once, there is nothing left to do."""
    newer = POLICY.replace(
        'tasks = [{ task = "process", assignees = ["owner"] }]',
        'tasks = [{ task = "process", assignees = ["owner"] }, { task = "survey", assignees = ["senior"] }]',
        1,
    )
    newer += '[tasks.survey]\ndue = "1 day"\ntext = "Ask how it went"\nuntil_reached = false\n'
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await play(company)
        before = content(company)
        await publish(company, newer)
        assert replay(company, "then").to_do == []
        dry = replay(company, "now")
        assert dry.actions == {"create_task": 2}
        assert [(group.row, group.count) for group in dry.groups.values()] == [("A2", 2)]
        assert {one.work.interaction_id for one in dry.to_do} == {id_of(company, f"ua0_-{n}") for n in (3, 5)}
        assert content(company) == before
        told = report_json(dry)
        assert (told["written"], told["actions"]) == (False, {"create_task": 2})
        done = replay(company, "now", write=True)
        assert done.opened == 2
        await over(company)
        surveys = [task for task in company.records()["tasks"] if task["text"] == "Ask how it went"]
        assert [task["responsible_user_id"] for task in surveys] == [8800101, 8800101]
        assert replay(company, "now", write=True).to_do == []
        # back to how it was: the hub closes what the rules of then do not want
        assert len(replay(company, "then", write=True).to_do) == 2
        await over(company)
        assert all(task["is_completed"] for task in company.records()["tasks"] if task["text"] == "Ask how it went")


async def test_a_filter_touches_only_its_own(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X13: by disposition, employee, row, client, period; the others are not even looked at."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await play(company)
        services = company.hub.services
        first = id_of(company, "ua0_-1")
        item = await services.store.read(lambda conn: work.get(conn, first, CRM))
        assert item is not None
        at = datetime.fromisoformat("2026-07-29T11:06:00+03:00")
        own = partial(Selection, project=PROJECT)
        table: list[tuple[Wanted, set[int]]] = [
            (Wanted(selection=own(), dispositions=("missed",)), {1, 2, 7}),
            (Wanted(selection=own(), employee="oleg"), {3, 4, 6}),
            (Wanted(selection=own(), row="A2"), {3, 5}),
            (Wanted(selection=own(client_id=item.client_id)), {1, 2, 4}),
            (Wanted(selection=own(since=at, until=at + timedelta(minutes=4))), {4, 5, 6}),
            (Wanted(selection=own(channels=("elsewhere",))), set()),
            (Wanted(selection=own(kinds=("form",))), set()),
            (Wanted(selection=own(states=(WorkState.ATTENTION,))), set()),
            (Wanted(selection=own(interaction_id=id_of(company, "ua0_-5"))), {5}),
        ]
        numbers = {id_of(company, f"ua0_-{number}"): number for number in range(1, 8)}
        replays = Replays(services.store, services.clock, offline_advance(services))
        for wanted, expected in table:
            assert {numbers[one.work.interaction_id] for one in replays.look(wanted, "now")} == expected, wanted


async def test_a_refused_action_replayed_after_its_cause_is_gone_succeeds_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H4, X13: the refused task is made, what was done before is not repeated; a second replay finds nothing."""
    sandbox, _ = amocrm
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        sandbox.fail_next("POST", "/api/v4/tasks", status=400)
        await company.webhook("after", DAY[2])
        await company.settled(1)
        states = company.hub.services.store.read_now(work.count_states)
        assert states == {(CRM, "attention"): 1}
        before = company.records()
        assert (len(before["leads"]), before["tasks"]) == (1, [])
        dry = replay(company)
        assert dry.actions == {"create_task": 1}
        assert replay(company, write=True).opened == 1
        await over(company)
        after = company.records()
        assert (len(after["contacts"]), len(after["leads"]), len(after["tasks"])) == (1, 1, 1)
        assert len(company.calls()) == 1
        assert replay(company, write=True).to_do == []


# the order is the writer's, the same on both; on PostgreSQL it takes many times as long to store the thousands
@pytest.mark.parametrize("each_engine", ["sqlite"], indirect=True)
async def test_thousands_of_replays_go_behind_what_is_fresh(
    tmp_path: Path, unhurried_amocrm: tuple[Sandbox, str]
) -> None:
    """X6, X13: a call that comes while a bulk waits to be written is written before it, its own client's bulk too."""
    newer = POLICY.replace(
        '{ task = "process", assignees = ["owner"] }', '{ task = "process", assignees = ["senior"] }', 1
    )
    async with world(tmp_path, *unhurried_amocrm, policy=POLICY) as company:
        count = 45
        for number in range(count):
            await company.webhook("after", call(100 + number, number, number, ANSWERED, OLEG))
        await company.settled(count, 60)
        await publish(company, newer)
        report = replay(company)
        assert (len(report.to_do), report.is_bulk) == (count, True)
        # slow enough that the bulk is on its way when the call comes, however slow this machine is
        company.sandbox.switch(latency_ms=(500, 500))
        replay(company, write=True)
        services = company.hub.services

        def waiting(urgency: int) -> int:
            rows = services.store.read_now(
                lambda conn: conn.execute(
                    select(schema.step.c.id).where(schema.step.c.state == "waiting", schema.step.c["class"] == urgency)
                ).all()
            )
            return len(rows)

        await company.until(lambda: waiting(3) > 0)
        await company.webhook("after", call(999, 44, 59, ANSWERED, OLEG))
        await company.until(lambda: len(company.calls()) == count + 1)
        first = id_of(company, "ua0_-999")
        await over(company)
        ended = await services.store.read(lambda conn: [one.ended_at for one in steps.of_interaction(conn, first)])
        bulk = await services.store.read(
            lambda conn: (
                conn.execute(
                    select(schema.step.c.ended_at)
                    .where(schema.step.c["class"] == 3)
                    .order_by(schema.step.c.ended_at.desc())
                )
                .scalars()
                .all()
            )
        )
        assert max(moment for moment in ended if moment) < bulk[0]
        assert replay(company).to_do == []
        assert company.sandbox.stats()["violations"] == 0


def test_the_command_shows_first_and_names_what_it_cannot_read(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """X13, H11: dry run, then --write, in the reader's language; a word that names nothing is refused by its option."""
    sandbox, address = amocrm

    async def prepare() -> None:
        async with world(tmp_path, sandbox, address, policy=POLICY) as company:
            sandbox.fail_next("POST", "/api/v4/tasks", status=400)
            await company.webhook("after", DAY[2])
            await company.settled(1)

    asyncio.run(prepare())
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "300")

    def hub(*words: str, code: int = 0) -> str:
        found = CliRunner().invoke(app, ["replay", *words])
        assert found.exit_code == code, found.output
        return found.output

    dry = json.loads(hub("--json"))
    assert (dry["written"], dry["to_do"], dry["actions"]) == (False, 1, {"create_task": 1})
    assert [found["row"] for found in dry["groups"]] == ["A2"]
    said = hub("--since", "2026-07-29", "--language", "ru")
    assert "Решение изменится: 1" in said
    assert "ещё раз: Задача" in said
    assert "добавьте --write" in said
    assert json.loads(hub("--disposition", "missed", "--json"))["looked_at"] == 0
    assert json.loads(hub("ua0_-3", "--rules", "then", "--json"))["to_do"] == 1
    for words in (["--channel", "x"], ["--employee", "x"], ["--client", "x"], ["--since", "soon"], ["--row", "x"]):
        assert words[0] in hub(*words, code=2)
    assert "--until" in hub("--since", "2026-07-29", "--until", "2026-07-28", code=2)
    assert "no interaction 'x'" in hub("x", code=2)
    assert json.loads(hub("--row", "A2", "--json"))["to_do"] == 1
    assert json.loads(hub("--write", "--json"))["opened"] == 1
    assert json.loads(hub("--write", "--json"))["to_do"] == 0
