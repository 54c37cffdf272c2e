"""What the hub expects of a sink's writes: applied, found again, refused and throttled rightly (X4, X5, X6)."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from hub.core.phone import Phone
from hub.core.plan import Reason, StepKey, UpdateContact
from hub.core.records import RecordKind, RecordRef
from hub.errors import Rejected, Throttled, Unavailable, VendorError
from hub.ports import Done, Refused, Sink, Write
from hub.testing.check import Checks, Several, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_steps import CREATING, KINDS, Step, each, new_contact, sent_again, stands, steps_of, write_of
from hub.testing.outfit import Fault
from hub.testing.source_checks import settings_are_explained

__all__ = ["CHECKS", "ids", "unavailable"]

CHECKS: Checks[CrmBench] = Checks()


# --- what it declares -------------------------------------------------------------------------------------------


@CHECKS.add()
async def the_sink_has_what_the_protocol_asks_for(bench: CrmBench) -> None:
    """`hub.ports.Sink` and `SinkSession`: every member is there, and the capabilities make sense together."""
    sink, able = bench.outfit.sink, bench.capabilities
    expect(isinstance(sink, Sink), f"{type(sink).__name__} lacks a member of hub.ports.Sink")
    expect(sink.name.isidentifier(), f"the name {sink.name!r} is not a plain word")
    strange = sorted(able.actions - set(KINDS))
    expect(not strange, f"it declares actions that the hub does not know: {', '.join(strange)}")
    wanted = {"create_contact", "create_task", "record_call", "add_note"}
    expect(bool(able.actions & wanted), "it can neither make a contact nor a task, call record or note")
    odd = {kind: size for kind, size in able.batch_sizes.items() if kind not in able.actions or size < 1}
    expect(not odd, f"batch sizes below 1 or of actions that it does not declare: {odd}")
    expect(able.pace.requests >= 1 and able.pace.per.total_seconds() > 0, f"nothing can be sent at {able.pace}")
    expect(bool(able.pace.source.strip()), "the pace does not say where its number comes from (Pace.source)")


@CHECKS.add()
async def every_setting_of_the_connection_is_explained(bench: CrmBench) -> None:
    """The set-up page shows title and description (H12)."""
    settings_are_explained(bench.outfit.sink.settings_model)


@CHECKS.add()
async def connecting_tells_what_can_be_chosen_by_name(bench: CrmBench) -> None:
    """H12: users, pipelines and stages; connecting again is harmless, and `catalogue` tells the same."""
    found = bench.catalogue
    expect(bool(bench.users), "the catalogue has no active user")
    twice = [user.id for user in found.users if [other.id for other in found.users].count(user.id) > 1]
    expect(not twice, f"users told twice: {twice}")
    if "create_deal" in bench.capabilities.actions:
        stages = [stage for pipeline in found.pipelines for stage in pipeline.stages]
        expect(any(not stage.is_final for stage in stages), "no pipeline has an open stage")
        expect(any(stage.is_final for stage in stages), "no pipeline has a final stage: which deals are open?")
    before = bench.stage.records()
    again = await bench.session.connect()
    expect(again.users == found.users and again.pipelines == found.pipelines, "connecting again told another account")
    expect(len(bench.stage.records()) == len(before), "connecting made records")
    told_later = await bench.session.catalogue()
    expect(told_later.pipelines == found.pipelines, "catalogue and connect tell different pipelines")


# --- one of each ------------------------------------------------------------------------------------------------


@CHECKS.add()
async def every_declared_action_is_applied(bench: CrmBench) -> None:
    """Each kind in `SinkCapabilities.actions`: done, answered by its key, standing in the CRM once, as asked for."""
    several = Several()
    for kind, step in each(bench):
        with several.case(step.name):
            write = step.make(bench)
            before = bench.refs()
            done = await bench.done(write)
            if kind == "notify":
                left = ids(bench.refs() - before)
                expect(left == "none", f"a popup is shown, it leaves nothing on cards; it made {left}")
                continue
            if done.record is None:
                fail("the answer does not name the record")
            stands(bench, write, done.record)
            fresh = {ref for ref in bench.refs() - before if ref.kind is done.record.kind}
            wanted = {done.record} if kind in CREATING else set()
            expect(fresh == wanted, f"it made {len(fresh)} records, not {len(wanted)}: {ids(fresh)}")
    several.report()


def ids(refs: Collection[RecordRef]) -> str:
    """The records in words."""
    return ", ".join(sorted(f"{ref.kind} {ref.id}" for ref in refs)) or "none"


@CHECKS.add()
async def a_contact_made_with_its_deal_is_answered_too(bench: CrmBench) -> None:
    """`Write.with_contact` is answered under its own key, by `apply` and by `find_done`."""
    several = Several()
    for _, step in each(bench, ("create_deal",)):
        with several.case(step.name):
            write = step.make(bench)
            if write.with_contact is None:
                continue
            for how, answer in (("apply", await bench.apply([write])), ("find_done", await bench.find_done([write]))):
                inner = answer.get(write.with_contact.key)
                if not isinstance(inner, Done) or inner.record is None:
                    fail(f"{how} does not answer for the contact")
                stands(bench, write.with_contact, inner.record)
                deal = answer.get(write.key)
                if not isinstance(deal, Done) or deal.record is None:
                    fail(f"{how} does not answer for the deal")
                held = bench.held(deal.record)
                expect(held is not None and inner.record.id in held.contact_ids, "deal and contact are not linked")
    several.report()


# --- doubt ------------------------------------------------------------------------------------------------------


async def unavailable(bench: CrmBench, write: Write) -> Unavailable:
    """`apply` whose answer does not come."""
    met: Unavailable | None = None
    try:
        answer = await bench.session.apply([write])
    except Unavailable as err:
        met = err
    except Exception as err:  # noqa: BLE001 - that nothing else is raised is what is tested
        fail(f"an answer that does not come raised {told(err)} instead of Unavailable", err)
    if met is None:
        fail(f"an answer that does not come went unnoticed: {dict(answer)}")
    return met


def _findable(bench: CrmBench, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[str, Step]]:
    """Every way of every kind that must be found again: popups are kept nowhere, and what the vendor itself does only
    once may simply be sent again."""
    for kind, step in each(bench, kinds):
        if kind != "notify" and kind not in bench.capabilities.deduplicated:
            yield kind, step


@CHECKS.add()
async def what_the_vendor_deduplicates_may_be_sent_again(bench: CrmBench) -> None:
    """`SinkCapabilities.deduplicated`: the same step sent twice, and after a lost answer, leaves one record."""
    several = Several()
    for kind, step in each(bench, tuple(sorted(bench.capabilities.deduplicated))):
        with several.case(step.name):
            write = step.make(bench)
            before = bench.refs()
            bench.stage.fail_next(write, Fault.LOST)
            error = await unavailable(bench, write)
            expect(error.maybe_applied, "a lost answer leaves a write in doubt (Unavailable.maybe_applied)")
            first, second = await bench.done(write), await bench.done(sent_again(write, bench.clock.now()))
            expect(first.record == second.record, f"sent again it is {second.record}, not {first.record}")
            if kind in CREATING and first.record is not None:
                fresh = {ref for ref in bench.refs() - before if ref.kind is first.record.kind}
                expect(fresh == {first.record}, f"sent three times it made {ids(fresh)}")
    several.report()


@CHECKS.add()
async def what_apply_made_is_found_by_find_done(bench: CrmBench) -> None:
    """X5: both name the same record."""
    several = Several()
    for _, step in _findable(bench):
        with several.case(step.name):
            write = step.make(bench)
            done = await bench.done(write)
            found = (await bench.find_done([write])).get(write.key)
            if found is None:
                fail("find_done does not find what was just applied")
            expect(found.record == done.record, f"apply made {done.record}, find_done names {found.record}")
    several.report()


@CHECKS.add()
async def a_lost_answer_is_found_again_and_only_if_it_was_applied(bench: CrmBench) -> None:
    """X5: in doubt after a failure of the vendor and after a cut connection; found if applied, else not."""
    several = Several()
    for kind, step in _findable(bench):
        with several.case(step.name):
            write = step.make(bench)
            before = bench.refs()
            bench.stage.fail_next(write, Fault.FAILED)
            error = await unavailable(bench, write)
            expect(error.maybe_applied, "a failure of the vendor leaves a write in doubt (Unavailable.maybe_applied)")
            found = await bench.find_done([write])
            expect(not found, f"find_done found what was never applied: {dict(found)}")
            bench.stage.fail_next(write, Fault.LOST)
            error = await unavailable(bench, write)
            expect(error.maybe_applied, "a lost answer leaves a write in doubt (Unavailable.maybe_applied)")
            found = await bench.find_done([write])
            done = found.get(write.key)
            if done is None or done.record is None:
                fail("it was applied, its answer was lost, and find_done misses it: the hub would do it again")
            stands(bench, write, done.record)
            if kind in CREATING:
                fresh = {ref for ref in bench.refs() - before if ref.kind is done.record.kind}
                expect(fresh == {done.record}, f"find_done names {done.record.id} out of {ids(fresh)}")
    several.report()


@CHECKS.add()
async def find_done_takes_no_record_for_another_steps(bench: CrmBench) -> None:
    """X5: of two like steps of which one was applied, one is found."""
    several = Several()
    for kind, step in _findable(bench, tuple(sorted(CREATING))):
        with several.case(step.name):
            first, second = step.make(bench), step.make(bench)
            await bench.done(first)
            found = await bench.find_done([second, first])
            expect(set(found) & {second.key} == set(), f"a {kind} that was not sent is taken for another one")
            expect(first.key in found, "the one that was sent is not found")
    several.report()


@CHECKS.add()
async def what_was_never_sent_is_not_looked_for(bench: CrmBench) -> None:
    """H5: no request without `Write.sent_at`, and none without a step."""
    write = replace(new_contact(bench), sent_at=None)
    bench.wire.requests.clear()
    expect(not await bench.find_done([write]), "found what was never sent")
    expect(not await bench.find_done([]), "found something without being asked for anything")
    expect(not bench.wire.requests, f"{len(bench.wire.requests)} requests were spent on it")


@CHECKS.add()
async def writes_with_lost_answers_end_exactly_once(bench: CrmBench) -> None:
    """X5: batches under random faults, checked and repeated as the hub does, leave each record once."""
    several = Several()
    for seed in range(2):
        for kind, step in each(bench, tuple(kind for kind in KINDS if kind in CREATING)):
            with several.case(f"{step.name}, seed {seed}"):
                size = min(bench.capabilities.batch_sizes.get(kind, 1), 3)
                await _until_done(bench, step.make, size, random.Random(f"{kind}{seed}"))
    several.report()


async def _until_done(bench: CrmBench, make: Callable[[CrmBench], Write], size: int, chance: random.Random) -> None:
    waiting = [make(bench) for _ in range(size)]
    before = bench.refs()
    made: dict[StepKey, Done] = {}
    for attempt in range(10):
        if not waiting:
            break
        waiting = [sent_again(write, bench.clock.now()) for write in waiting]
        if attempt < 4:
            bench.stage.fail_next(waiting[0], chance.choice(list(Fault)))
        try:
            answer = dict(await bench.session.apply(waiting))
        except Throttled:
            continue
        except Unavailable:
            answer = dict(await bench.find_done(waiting))
        except VendorError as err:
            fail(f"apply raised {told(err)}", err)
        made |= {key: done for key, done in answer.items() if isinstance(done, Done)}
        waiting = [write for write in waiting if write.key not in made]
    expect(not waiting, f"{len(waiting)} of {size} were not done after ten attempts")
    refs = {done.record for done in made.values() if done.record is not None}
    kinds = {ref.kind for ref in refs}
    fresh = {ref for ref in bench.refs() - before if ref.kind in kinds}
    expect(fresh == refs, f"the CRM holds {ids(fresh)}; done are {ids(refs)}")


# --- batches ----------------------------------------------------------------------------------------------------


@CHECKS.add()
async def a_batch_costs_about_as_many_requests_as_one_step(bench: CrmBench) -> None:
    """X6: `batch_sizes` promises one request for so many; each key is answered."""
    several = Several()
    for kind, step in each(bench):
        size = min(bench.capabilities.batch_sizes.get(kind, 1), 4)
        if size == 1:
            continue
        with several.case(step.name):
            one, many = [step.make(bench)], [step.make(bench) for _ in range(size)]
            asked = []
            for writes in (one, many):
                bench.wire.requests.clear()
                answer = await bench.apply(writes)
                asked.append(len(bench.wire.requests))
                missing = [write.key for write in writes if not isinstance(answer.get(write.key), Done)]
                expect(not missing, f"of {len(writes)} these were not done: {missing}")
            told_sizes = f"one step cost {asked[0]} requests, {size} cost {asked[1]}"
            expect(asked[1] <= asked[0] + 1, f"{told_sizes}; batch_sizes promises {kind} in one request")
    several.report()


@CHECKS.add()
async def the_vendor_takes_a_batch_of_the_declared_size(bench: CrmBench) -> None:
    """X6: the declared size is no larger than what the vendor takes, and all of it is found again at once."""
    several = Several()
    for kind in ("create_contact", "create_task", "add_note"):
        size = bench.capabilities.batch_sizes.get(kind, 1)
        if kind not in bench.capabilities.actions or size == 1:
            continue
        step = steps_of(bench, kind)[0]
        with several.case(f"{size} of {step.name}"):
            writes = [step.make(bench) for _ in range(size)]
            answer = await bench.apply(writes)
            refs = {done.record for done in answer.values() if isinstance(done, Done)}
            expect(len(refs) == size, f"{len(refs)} records for {size} steps")
            found = await bench.find_done(writes)
            missing = [write.key for write in writes if write.key not in found]
            expect(not missing, f"find_done misses {len(missing)} of {size}")
    several.report()


@CHECKS.add()
async def a_bad_item_takes_nobody_with_it(bench: CrmBench) -> None:
    """X6: refused items are named, by Refused or by Rejected with their keys; the others are done once."""
    several = Several()
    for kind, step in each(bench):
        size = min(bench.capabilities.batch_sizes.get(kind, 1), 4)
        with several.case(step.name):
            writes = [step.make(bench) for _ in range(size)]
            place = size // 2
            spoilt = bench.stage.spoil(writes[place])
            if spoilt is None:
                continue
            writes[place] = spoilt
            before = bench.refs()
            good = [write for write in writes if write.key != spoilt.key]
            try:
                answer = dict(await bench.session.apply(writes))
            except Rejected as err:
                named = {key for key in err.problems if key}
                expect(named in ({spoilt.key}, set()), f"refused for {sorted(named)}, the bad one is {spoilt.key}")
                expect(bool(named) or size == 1 or kind not in CREATING or bench.refs() == before, "half was applied")
                expect(bool(str(err).strip()), "the refusal says nothing")
                answer = dict(await bench.apply(good)) if good and named else {}
                if good and not named:
                    for write in good:
                        answer |= await bench.apply([write])
                answer[spoilt.key] = Refused(text=str(err))
            except Exception as err:  # noqa: BLE001 - as above
                fail(f"a bad item made apply raise {told(err)} instead of Rejected", err)
            bad = answer.get(spoilt.key)
            expect(isinstance(bad, Refused) and bool(bad.text), f"the bad item is answered with {bad}")
            missing = [write.key for write in good if not isinstance(answer.get(write.key), Done)]
            expect(not missing, f"good items were not done: {missing}")
            if kind in CREATING:
                refs = {done.record for done in answer.values() if isinstance(done, Done)}
                kinds = {ref.kind for ref in refs if ref is not None}
                fresh = {ref for ref in bench.refs() - before if ref.kind in kinds}
                expect(fresh == refs, f"the CRM holds {ids(fresh)} for {len(good)} good items")
    several.report()


@CHECKS.add()
async def a_number_is_added_once_however_it_was_typed(bench: CrmBench) -> None:
    """C4: adding a number that the contact has in another spelling changes nothing, and takes no other away."""
    if "update_contact" not in bench.capabilities.actions:
        return
    contact = bench.stage.create_contact("Иван", "067 123-45-67")
    for phone in ("+380671234567", "+380501112233"):
        action = UpdateContact(
            key=bench.key("update_contact"), contact=contact, add_phones=(Phone(phone),), reason=Reason(code="kit")
        )
        await bench.done(write_of(bench, action, {"contact": contact}))
    held = bench.held(contact)
    digits = sorted("".join(filter(str.isdigit, phone))[-9:] for phone in held.phones) if held else []
    expect(digits == ["501112233", "671234567"], f"the contact's numbers are now {held.phones if held else None}")


@CHECKS.add()
async def a_card_has_an_address_for_people(bench: CrmBench) -> None:
    """`record_url`: a different web address for each card."""
    contact = bench.stage.create_contact("Иван", bench.phone())
    other = bench.stage.create_contact("Петро", bench.phone())
    found = {bench.session.record_url(ref) for ref in (contact, other)}
    expect(len(found) == 2, f"two contacts have one address: {found}")
    expect(all(url.startswith(("http://", "https://")) for url in found), f"no web address: {found}")
    for kind in (RecordKind.TASK, RecordKind.DEAL, RecordKind.COMPANY, RecordKind.NOTE):
        url = bench.session.record_url(RecordRef(kind=kind, id=contact.id))
        expect(url.startswith("http"), f"record_url of a {kind} is {url!r}")
