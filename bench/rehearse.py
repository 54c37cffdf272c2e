"""``python -m bench.rehearse``: interactions a second that a changed policy lives through, on one core.

A month of several thousand clients is laid into a store as the hub would have left it: interactions, decisions with
their snapshots and plans, steps with their records. Then a policy with one rule more is rehearsed on it, from
opening the first slice to the finished report. The base of comparison is the same reading without any thinking: each
interaction and each snapshot decoded once.

``per_second`` counts processor time, which a loud machine distorts least; ``per_second_by_the_clock`` is what a
person waits for. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench.decide import _RULE
from bench.measure import machine, quiet_json
from hub.compose import build_services
from hub.core.interaction import Call, ClientId, Identity, InteractionId
from hub.core.phone import Phone
from hub.core.policy import Policy
from hub.core.records import RecordKind
from hub.runtime.rehearse import Wanted, rehearse
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import decisions, interactions, past, policies, projects, schema
from hub.testing import builders

PROJECT, CRM = "bench", "crm"
BEGIN = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)
MONTH = Wanted(since=BEGIN, until=BEGIN + timedelta(days=31))
#: the rule that the trial has more: calls over one line, one in ten, are the senior's
RULE = """
[[rules]]
name = "the other line"
when = { line = "+380440000000" }
responsible = ["senior"]
stage = "Hot"
"""
#: a change that reaches far: whose each new client who was missed is, and with that all that follows
FAR = ('responsible = ["dialled_owner", "senior"]                            # A13', 'responsible = ["ivan"]')


def car_dealer(more: str = "", *, rules: int = 0, is_far: bool = False) -> Policy:
    """The car dealer's policy with ``more``, and with so many rules that all look at the call."""
    more += "".join(_RULE.format(n=number) for number in range(rules))
    return builders.policy("car-dealer", more, replacing=[FAR] if is_far else [])


def _calls(count: int, dice: random.Random) -> Iterator[Call]:
    clients = [Phone(f"+38050{number:07d}") for number in dice.sample(range(1_000_000, 9_999_999), count // 5)]
    minutes = sorted(dice.randrange(30 * 24 * 60 * 60) for _ in range(count))
    for number, second in enumerate(minutes):
        at = BEGIN + timedelta(seconds=second)
        who = dice.choice([builders.OWNER, builders.COLLEAGUE, builders.SENIOR])
        kind = dice.choices(["answered", "out", "missed"], [45, 15, 40])[0]
        found = builders.missed(rung=(who,))
        if kind != "missed":
            found = builders.answered(who) if kind == "answered" else builders.outgoing(who)
        yield replace(
            found,
            id=InteractionId(f"i{number:08d}"),
            external_id=f"bench-{number}",
            started_at=at,
            ended_at=at + timedelta(minutes=2),
            client=Identity(phones=(dice.choice(clients),)),
            line=Phone("+380440000000") if dice.random() < 0.1 else builders.LINE,
        )


@contextmanager
def a_month(folder: Path, count: int) -> Iterator[Services]:
    """A store that holds a month of so many calls."""
    services = build_services(Settings(environment="development", data_directory=folder))
    try:
        store, policy, crms = services.store, car_dealer(), dict[Phone, builders.MemoryCrm]()
        store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=BEGIN, mode="live"))
        text = (Path(builders.__file__).parents[1] / "presets/car-dealer.toml").read_text() + builders.TEAM
        store.write_now(
            lambda conn: policies.publish(conn, PROJECT, text=text, author="bench", based_on=None, now=BEGIN)
        )
        calls = list(_calls(count, random.Random(1)))
        for start in range(0, count, 1000):
            some = calls[start : start + 1000]
            store.write_now(lambda conn, some=some: _lay(conn, some, policy, crms))  # type: ignore[misc]  # run at once
        services.projects.reload_now()
        # a hub that runs does not look for garbage in what stands (`hub.web.server`); here that is what laid the month
        gc.collect()
        gc.freeze()
        yield services
    finally:
        gc.unfreeze()
        services.close()


def _lay(conn: Any, calls: list[Call], policy: Policy, crms: dict[Phone, builders.MemoryCrm]) -> None:
    for call in calls:
        phone = call.client.phones[0]
        client = ClientId(f"c{phone[1:]}")
        crm = crms.get(phone)
        if crm is None:
            crm = crms[phone] = builders.MemoryCrm(rules=policy, client=client, count=len(crms) * 1000)
        seen, before, now = crm.seen_by(call.id), set(crm.done), call.moment
        plan = crm.take(call)
        interactions.put(conn, call, client_id=client, received_at=now, decide_at=now)
        # only open tasks are looked up
        seen = replace(seen, taken_at=now, seen_at=now, tasks=tuple(task for task in seen.tasks if task.is_open))
        decisions.add(
            conn,
            interaction_id=call.id,
            connection=CRM,
            project=PROJECT,
            revision=1,
            policy_version=1,
            snapshot=seen,
            plan=plan,
            now=now,
        )
        rows = [
            {
                "project": PROJECT,
                "connection": CRM,
                "key": key,
                "interaction_id": call.id,
                "client_id": client,
                "kind": "create",
                "action": b"",
                "state": "done",
                "hub_id": "",
                "created_at": now,
                "record_kind": ref.kind.value,
                "record_id": ref.id,
            }
            for key, ref in crm.done.items()
            if key not in before and ref.kind is not RecordKind.NOTE
        ]
        if rows:
            conn.execute(insert(schema.step), rows)


def decode_all(services: Services) -> tuple[float, float]:
    """(processor seconds, seconds) to read and decode every interaction and snapshot once, and nothing more."""
    cpu, clock = time.process_time(), time.perf_counter()

    def read(conn: Any) -> None:
        period, after = past.find_period(conn, PROJECT, MONTH.since, MONTH.until), 0
        while found := past.read_slice(conn, period, after, 500):
            for one in found:
                assert one.interaction is not None
                assert one.snapshot is not None
            after = found[-1].id

    services.store.read_now(read)
    return time.process_time() - cpu, time.perf_counter() - clock


def measure(count: int, rounds: int) -> dict[str, Any]:
    """The best of several rounds: noise only ever adds."""
    with tempfile.TemporaryDirectory() as folder, a_month(Path(folder), count) as services:
        live = services.projects.get(PROJECT)
        figures: dict[str, Any] = {}
        trials = {
            "": car_dealer(RULE),
            "fifty_rules_": car_dealer(RULE, rules=50),
            "far_reaching_": car_dealer(is_far=True),
        }
        for name, trial in trials.items():
            taken = []
            for _ in range(rounds):
                cpu, clock = time.process_time(), time.perf_counter()
                report = rehearse(services.store, live, trial, MONTH)
                taken.append((time.process_time() - cpu, time.perf_counter() - clock))
            if (report.decisions, bool(report.changed)) != (count, True):
                raise RuntimeError(f"a rehearsal of {count} calls found {report}")
            figures |= {
                f"{name}per_second": round(count / min(used for used, _ in taken)),
                f"{name}per_second_by_the_clock": round(count / min(passed for _, passed in taken)),
                f"{name}changed": report.changed,
            }
        base = min(decode_all(services)[0] for _ in range(rounds))
        return {
            **figures,
            "decoding_alone_per_second": round(count / base),
            "ratio_to_decoding": round(figures["per_second"] / (count / base), 2),
            "interactions": count,
        }


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="keep it under 40 s")
    chosen = parser.parse_args()
    print(machine())
    print(quiet_json(**(measure(2_500, 2) if chosen.quick else measure(20_000, 4))))


if __name__ == "__main__":
    main()
