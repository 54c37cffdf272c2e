"""What the hub expects of a source whose vendor knows our records, counts what waits or shows a chat in a frame."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import httpx

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.errors import NeedsCredentials, Unavailable, VendorError
from hub.messenger import (
    CountsUnanswered,
    Entities,
    FramesChats,
    SharedContact,
    SharedDeal,
    SharedPipeline,
    SharedStage,
    SharedUser,
    SyncsEntities,
)
from hub.ports import ChannelConfig
from hub.testing.check import Checks, expect, fail, told
from hub.testing.outfit import SourceStage
from hub.testing.outside import Nowhere
from hub.testing.source_bench import SourceBench
from hub.testing.source_vendor import in_sandbox

__all__ = ["CHECKS"]

CHECKS: Checks[SourceBench] = Checks()

_KINDS = ("users", "contacts", "deals", "pipelines")
#: more than vendors take in one request
_MANY = 230
_CLIENT = Identity(phones=(Phone("+380671112233"),), handles=(("whatsapp", "380671112233"),), name="Petro Bondar")
_NOBODY = "kit-nobody"


def _syncs(source: object) -> bool:
    return isinstance(source, SyncsEntities)


# --- our records at the vendor's --------------------------------------------------------------------------------


def _entities(many: int = 2, word: str = "") -> Entities:
    """An employee, clients with a deal each, a pipeline; ``word`` is in every name."""
    contacts = [
        SharedContact(
            id=f"kit-c{place}",
            name=f"Client {place}{word}",
            responsible="kit-u0",
            phones=(Phone(f"+38067{place:07d}"),),
            handles=(("whatsapp", f"38067{place:07d}"),),
            url=f"https://crm.example/contacts/{place}",
        )
        for place in range(many)
    ]
    deals = [
        SharedDeal(
            id=f"kit-d{place}",
            name=f"Deal {place}{word}",
            responsible="kit-u0",
            contacts=(one.id,),
            url=f"https://crm.example/deals/{place}",
        )
        for place, one in enumerate(contacts)
    ]
    stages = (SharedStage(id="kit-s0", name="New"),)
    return Entities(
        users=(SharedUser(id="kit-u0", name=f"Olena{word}", phone=Phone("+380501234567")),),
        contacts=tuple(contacts),
        deals=tuple(deals),
        pipelines=(SharedPipeline(id="kit-p0", name=f"Sales{word}", stages=stages),),
    )


def _named(changed: Entities) -> dict[str, str]:
    """What is told, as ``{"contacts/<id>": name}``."""
    return {f"{kind}/{one.id}": one.name for kind in _KINDS for one in getattr(changed, kind)}


def _only(changed: Entities, kinds: frozenset[str]) -> Entities:
    return replace(changed, **{kind: () for kind in _KINDS if kind not in kinds})


async def _share(bench: SourceBench, stage: SourceStage, changed: Entities) -> Mapping[str, str]:
    assert isinstance(bench.source, SyncsEntities)
    refused = await bench.source.share(stage.channel, stage.http, changed)
    strange = sorted(set(refused) - set(_named(changed)))
    expect(not strange, f"share refuses what it was not told: {strange[:3]}")
    expect(all(refused.values()), f"share refuses without saying why: {sorted(refused)[:3]}")
    return refused


def _held(stage: SourceStage) -> dict[str, str]:
    if stage.shared is None:
        fail("the vendor is told our records, and the outfit's stage cannot say what it holds (SourceStage.shared)")
    return {key: name for key, name in stage.shared().items() if "/kit-" in key}


def _agrees(stage: SourceStage, wanted: Mapping[str, str], refused: Iterable[str], when: str) -> None:
    """The vendor holds what is ``wanted`` and not refused, and nothing else of the kit's."""
    held, due = _held(stage), {key: name for key, name in wanted.items() if key not in set(refused)}
    expect(not due.keys() - held.keys(), f"{when}: the vendor lacks {sorted(due.keys() - held.keys())[:3]}")
    expect(not held.keys() - due.keys(), f"{when}: the vendor still has {sorted(held.keys() - due.keys())[:3]}")
    other = [f"{key} as {held[key]!r}, not {name!r}" for key, name in due.items() if held[key] != name]
    expect(not other, f"{when}: the vendor knows {other[:3]}")


@CHECKS.add(_syncs)
async def our_records_stand_at_the_vendor_as_they_were_told_last(bench: SourceBench) -> None:
    """DESIGN 7: told once, again and changed, each stands there once; what is removed is gone, and removing it again is
    no error, or the hub would tell it for ever."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, SyncsEntities)
        kinds = frozenset(bench.source.shares(stage.channel))
        expect(kinds <= set(_KINDS), f"shares names what is no kind of record: {sorted(kinds - set(_KINDS))}")
        expect(bool(kinds), "shares tells the vendor nothing with the settings of the outfit's stage")
        first, changed = _only(_entities(), kinds), _only(_entities(word=" new"), kinds)
        for entities, when in ((first, "told once"), (first, "told again"), (changed, "told with another name")):
            _agrees(stage, _named(entities), await _share(bench, stage, entities), when)
        gone = Entities(
            removed_users=tuple(one.id for one in changed.users),
            removed_contacts=tuple(one.id for one in changed.contacts),
            removed_deals=tuple(one.id for one in changed.deals),
        )
        kept = {key: name for key, name in _named(changed).items() if key.startswith("pipelines/")}
        for when in ("removed", "removed again"):
            expect(not await _share(bench, stage, gone), f"{when}: refused")
            _agrees(stage, kept, (), when)
        expect(not await _share(bench, stage, Entities()), "nothing was told, and something refused")

    await in_sandbox(bench, "share", work)


@CHECKS.add(_syncs)
async def many_records_are_told_and_a_refused_one_takes_nobody_with_it(bench: SourceBench) -> None:
    """A company has thousands; what the vendor refuses for itself is named, everything else arrives (H4)."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, SyncsEntities)
        entities = _entities(_MANY)
        # nobody can write to such a client: most vendors refuse them
        bare = replace(entities.contacts[_MANY // 2], phones=(), handles=(), url="")
        contacts = tuple(bare if one.id == bare.id else one for one in entities.contacts)
        deals = tuple(one for one in entities.deals if bare.id not in one.contacts)
        wanted = _only(replace(entities, contacts=contacts, deals=deals), frozenset(bench.source.shares(stage.channel)))
        refused = await _share(bench, stage, wanted)
        expect(set(refused) <= {f"contacts/{bare.id}"}, f"refused is {sorted(refused)[:3]}: nothing is wrong with it")
        _agrees(stage, _named(wanted), refused, f"{_MANY} clients at once")

    await in_sandbox(bench, "share", work)


# --- what waits -------------------------------------------------------------------------------------------------


@CHECKS.add(lambda source: isinstance(source, CountsUnanswered))
async def the_counters_are_the_vendors_own(bench: SourceBench) -> None:
    """W6: at zero an employee's tasks are closed, so a number that the vendor did not tell would close them too: who
    is unknown there is left out."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, CountsUnanswered)
        counted = None if stage.unanswered is None else dict(stage.unanswered())
        if not counted or not any(counted.values()) or all(counted.values()):
            fail("SourceStage.unanswered must name somebody for whom messages wait, and somebody for whom none does")
        for asked in ([*sorted(counted), _NOBODY], sorted(counted)[:1], [_NOBODY], []):
            found = dict(await bench.source.unanswered(stage.channel, stage.http, asked))
            wanted = {one: counted[one] for one in asked if one in counted}
            expect(found == wanted, f"asked for {asked}: told {found}, the vendor counts {wanted}")

    await in_sandbox(bench, "unanswered", work)


# --- a chat in a frame ------------------------------------------------------------------------------------------


@CHECKS.add(lambda source: isinstance(source, FramesChats))
async def a_frame_shows_this_client_to_this_employee(bench: SourceBench) -> None:
    """DESIGN 7: the vendor is asked for whom and about whom at each opening; what it answers is an address of https."""

    async def work(stage: SourceStage) -> None:
        assert isinstance(bench.source, FramesChats)
        if stage.framed is None or len(stage.staff_ids) < 2:
            fail("it frames chats: the outfit's stage must say what was framed (SourceStage.framed), and 2 staff_ids")
        for staff_id in sorted(stage.staff_ids)[:2]:
            before = len(stage.framed())
            url = await bench.source.frame_url(
                stage.channel, stage.http, staff_id=staff_id, staff_name="Olena", client=_CLIENT
            )
            expect(isinstance(url, str) and url.startswith("https://"), f"frame_url gave {url!r}, no address of https")
            new = list(stage.framed())[before:]
            expect(len(new) == 1, f"the vendor was asked {len(new)} times for one opening")
            expect(staff_id in new[0], f"the vendor was not told that it is for {staff_id}: {new[0][:120]}")
            expect("671112233" in new[0], f"the vendor was not told which client it is: {new[0][:120]}")

    await in_sandbox(bench, "frame_url", work)


# --- trouble ----------------------------------------------------------------------------------------------------


def _asking(bench: SourceBench, stage: SourceStage) -> dict[str, Callable[[ChannelConfig, httpx.AsyncClient], Any]]:
    """What is asked of the vendor, by ability."""
    source, staff = bench.source, sorted(stage.staff_ids)
    found: dict[str, Callable[[ChannelConfig, httpx.AsyncClient], Awaitable[Any]]] = {}
    if isinstance(source, SyncsEntities):
        found["share"] = lambda channel, http: source.share(channel, http, _only(_entities(), source.shares(channel)))
    if isinstance(source, CountsUnanswered):
        found["unanswered"] = lambda channel, http: source.unanswered(channel, http, staff)
    if isinstance(source, FramesChats):
        found["frame_url"] = lambda channel, http: source.frame_url(
            channel, http, staff_id=[*staff, _NOBODY][0], staff_name="Olena", client=_CLIENT
        )
    return found


@CHECKS.add(lambda source: isinstance(source, SyncsEntities | CountsUnanswered | FramesChats))
async def a_messenger_that_refuses_or_is_away_is_told_apart(bench: SourceBench) -> None:
    """H4: a refused key needs a person, a vendor that is away is asked again; the right key works after both."""

    async def work(stage: SourceStage) -> None:
        async with httpx.AsyncClient(transport=Nowhere()) as nowhere:
            for ability, ask in _asking(bench, stage).items():
                if stage.refused is not None:
                    await _raises(NeedsCredentials, f"{ability} with a refused key", ask(stage.refused, stage.http))
                await _raises(Unavailable, f"{ability} of a vendor that is away", ask(stage.channel, nowhere))
                await ask(stage.channel, stage.http)

    await in_sandbox(bench, "asking the messenger", work)


async def _raises(wanted: type[VendorError], what: str, asked: Awaitable[Any]) -> None:
    try:
        await asked
    except wanted:
        return
    except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
        fail(f"{what} raised {told(err)} instead of {wanted.__name__}", err)
    fail(f"{what} went unnoticed")
