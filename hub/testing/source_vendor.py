"""What a source asks of its vendor: the log, the employees, a key that is refused (X7, H12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hub.core.merge import CallFragment
from hub.errors import NeedsCredentials, VendorError
from hub.ports import ChannelConfig, ListsEmployees, ListsInteractions
from hub.testing.check import Checks, NotConforming, expect, fail, told
from hub.testing.outfit import SourceStage
from hub.testing.source_bench import SourceBench, is_sound
from hub.testing.source_merging import calls_of, facts_of, folded, is_same, merges

__all__ = ["CHECKS", "in_sandbox"]

CHECKS: Checks[SourceBench] = Checks()


def _lists(source: object) -> bool:
    return isinstance(source, ListsInteractions)


async def in_sandbox(bench: SourceBench, ability: str, work: Callable[[SourceStage], Awaitable[None]]) -> None:
    """Let ``work`` try ``ability`` in the outfit's sandbox; whatever it raises is reported."""
    if bench.outfit.open is None:
        fail(f"it has {ability}, and the outfit has no sandbox to try it with (open)")
    async with bench.outfit.open() as stage:
        try:
            await work(stage)
        except (NotConforming, AssertionError):
            raise
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"{ability} raised {told(err)}", err)


@CHECKS.add(_lists)
async def the_log_agrees_with_the_webhooks(bench: SourceBench) -> None:
    """X7: each finished call of the webhooks stands in the log, with the same client, direction and end."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, ListsInteractions)
        rows: dict[str, list[CallFragment]] = {}
        async for one in bench.source.list_interactions(stage.channel, stage.http, stage.since, stage.until):
            is_sound(one)
            if isinstance(one, CallFragment):
                expect(one.is_recovered, f"row {one.external_id} is not marked as recovered")
                rows.setdefault(one.external_id, []).append(one)
        at = stage.until
        known = {key: folded(parts, at) for key, parts in calls_of(bench, stage.deliveries, stage.channel).items()}
        finished = {key: call for key, call in known.items() if call.is_final}
        expect(bool(finished), "the outfit's deliveries tell of no finished call")
        expect(set(rows) == set(finished), f"told by one way only: {sorted(set(rows) ^ set(finished))[:5]}")
        for key, call in finished.items():
            row = folded(rows[key], at)
            for name in ("disposition", "direction", "is_final"):
                seen, wanted = getattr(row, name), getattr(call, name)
                expect(seen == wanted, f"call {key}: {name} is {seen} in the log and {wanted} by webhook")
            both = folded([*calls_of(bench, stage.deliveries, stage.channel)[key], *rows[key]], at)
            names = ("legs", "disposition", "direction")
            is_same(
                {name: facts_of(call)[name] for name in (*names, "external_id")}, facts_of(both), "with its log row"
            )

    await in_sandbox(bench, "list_interactions", work)


@CHECKS.add(_lists)
async def deliveries_of_a_whole_day_merge_in_any_order(bench: SourceBench) -> None:
    """A9, X8: the sandbox's own traffic, shuffled and repeated."""

    async def work(stage: SourceStage) -> None:
        merges(bench, list(stage.deliveries), stage.channel)

    await in_sandbox(bench, "list_interactions", work)


@CHECKS.add(lambda source: isinstance(source, ListsEmployees))
async def the_employees_are_told(bench: SourceBench) -> None:
    """H12: everybody whom the vendor knows, once."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, ListsEmployees)
        found = [one.staff_id for one in await bench.source.list_employees(stage.channel, stage.http)]
        expect(len(set(found)) == len(found), f"an employee is told twice: {found}")
        expect(set(found) == stage.staff_ids, f"told {sorted(found)}, the vendor knows {sorted(stage.staff_ids)}")

    await in_sandbox(bench, "list_employees", work)


@CHECKS.add(lambda source: isinstance(source, ListsEmployees | ListsInteractions))
async def a_refused_key_needs_credentials(bench: SourceBench) -> None:
    """The vendor's "no" is NeedsCredentials, so that the console can say what to do; the right key then works."""

    async def ask(channel: ChannelConfig, stage: SourceStage) -> None:
        if isinstance(bench.source, ListsEmployees):
            await bench.source.list_employees(channel, stage.http)
        elif isinstance(bench.source, ListsInteractions):
            async for _ in bench.source.list_interactions(channel, stage.http, stage.since, stage.until):
                pass

    async def work(stage: SourceStage) -> None:
        if stage.refused is None:
            return
        try:
            await ask(stage.refused, stage)
        except NeedsCredentials:
            pass
        except VendorError as err:
            fail(f"a refused key raised {told(err)} instead of NeedsCredentials", err)
        else:
            fail("a key that the vendor refuses went unnoticed")
        await ask(stage.channel, stage)

    await in_sandbox(bench, "asking the vendor", work)
