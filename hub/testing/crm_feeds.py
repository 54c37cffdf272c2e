"""What the hub expects of a sink's feeds and imports: they lose nothing and come to an end (X4, H6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta

import httpx

from hub.core.phone import Phone
from hub.core.records import Contact, RecordKind, RecordRef
from hub.errors import VendorError
from hub.ports import Changes
from hub.testing.check import Checks, NotConforming, Several, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_directory import MOST, PAGE, Directory, People, fill

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()

_SOON = timedelta(seconds=100)


# --- polling ----------------------------------------------------------------------------------------------------


@CHECKS.add()
async def a_new_feed_starts_from_now_and_tells_what_comes(bench: CrmBench) -> None:
    """H6: `changes("")` gives a cursor and nothing of the past; then each change is told, and silence is silent."""
    bench.stage.create_contact("Старый", "+380671111111")
    bench.advance(_SOON)
    directory = Directory()
    pages = await directory.fold(bench, bench.session.changes(""))
    expect(bool(directory.cursor), "the feed gives no cursor to go on from")
    expect(not directory.records, f"a new feed tells of the past: {sorted(directory.records, key=str)[:3]}")
    expect(bool(pages) and pages[-1].as_of is not None, "the feed does not say up to when it is complete (as_of)")
    new = bench.stage.create_contact("Ольга", "067 123 45 67")
    pages = await directory.fold(bench, bench.session.changes(directory.cursor))
    found = directory.records.get(new)
    if not isinstance(found, Contact):
        fail("a contact made since is not told")
    expect(found.phones == (Phone("+380671234567"),), f"its number is told as {found.phones}, not in E.164 (C4)")
    expect(pages[-1].as_of is not None, "the last page does not say up to when the feed is complete (as_of)")
    quiet = Directory()
    await quiet.fold(bench, bench.session.changes(directory.cursor))
    expect(not quiet.records, "where nothing happened, records are told again")


_DEEDS: Mapping[str, Callable[[CrmBench, Mapping[str, RecordRef]], None]] = {
    "create_contact": lambda bench, made: _ignore(bench.stage.create_contact("Новый", bench.phone())),
    "create_deal": lambda bench, made: _ignore(bench.stage.create_deal("Кофе", made["contact"])),
    "create_task": lambda bench, made: _ignore(bench.stage.create_task("Второе дело", made["host"])),
    "rename": lambda bench, made: bench.stage.rename(made["contact"], "Ганна"),
    "give": lambda bench, made: bench.stage.give(made["deal"], bench.users[-1]),
    "delete": lambda bench, made: bench.stage.delete(made["other"]),
    "delete a deal": lambda bench, made: bench.stage.delete(made["deal"]),
    "merge": lambda bench, made: bench.stage.merge(made["contact"], made["other"]),
    "close": lambda bench, made: bench.stage.close(made["deal"]),
    "complete": lambda bench, made: bench.stage.complete(made["task"]),
}


def _ignore(_: RecordRef) -> None:
    """A deed whose record is looked up by the check."""


@CHECKS.add()
async def whatever_people_do_reaches_the_directory(bench: CrmBench) -> None:
    """H6: made, renamed, given away, deleted, merged, closed, completed: the next poll tells."""
    several = Several()
    for name, deed in _DEEDS.items():
        if name.split(" ")[0] not in bench.stage.deeds:
            continue
        with several.case(name):
            stage = bench.stage
            made = {"contact": stage.create_contact("Иван", bench.phone())}
            made["other"] = stage.create_contact("Пётр", bench.phone())
            made["deal"] = stage.create_deal("Чай", made["contact"])
            kinds = stage.hosts.get("create_task", (RecordKind.CONTACT,))
            made["host"] = made["contact"] if RecordKind.CONTACT in kinds else made["deal"]
            made["task"] = stage.create_task("Дело", made["host"])
            directory = Directory()
            await directory.fold(bench, bench.session.import_all(""))
            bench.advance(_SOON)
            deed(bench, made)
            await directory.fold(bench, bench.session.changes(directory.cursor))
            directory.agrees(bench)
    several.report()


@CHECKS.add()
async def two_edits_within_a_moment_are_both_told(bench: CrmBench) -> None:
    """H6: the second edit may have the very time of the first."""
    contact = bench.stage.create_contact("Раз", bench.phone())
    directory = Directory()
    await directory.fold(bench, bench.session.changes(""))
    for name in ("Два", "Три"):
        bench.stage.rename(contact, name)
        await directory.fold(bench, bench.session.changes(directory.cursor))
        found = directory.records.get(contact)
        if not isinstance(found, Contact):
            fail("a contact that was renamed a moment after the feed began is not told")
        expect(" ".join(found.name.split()) == name, f"renamed to {name!r}, known as {found.name!r}")


@CHECKS.add()
async def polling_loses_nothing_while_people_work(bench: CrmBench) -> None:
    """H6: lists shift under the reader's hands; what changed between two of its requests is told, now or next time."""
    fill(bench, 16, 8)
    small = await bench.paged(PAGE)
    for seed in range(2):
        directory = Directory()
        await directory.fold(small, small.session.import_all(""))
        bench.wire.before = People(bench, seed).work
        for _ in range(3):
            await directory.fold(small, small.session.changes(directory.cursor))
        bench.wire.before = None
        bench.advance(timedelta(seconds=1))
        await directory.fold(small, small.session.changes(directory.cursor))
        directory.agrees(bench)


# --- importing --------------------------------------------------------------------------------------------------


@CHECKS.add()
async def an_import_is_complete_also_while_people_work(bench: CrmBench) -> None:
    """H6: everything open is in the directory after the import and the first poll."""
    fill(bench, 30, 14)
    small = await bench.paged(PAGE)
    for seed in range(3):
        directory = Directory()
        bench.wire.before = People(bench, seed, every=1 + seed).work
        await directory.fold(small, small.session.import_all(""))
        bench.wire.before = None
        bench.advance(timedelta(seconds=1))
        await directory.fold(small, small.session.changes(directory.cursor))
        directory.agrees(bench)


@CHECKS.add()
async def an_interrupted_import_goes_on_where_it_stopped(bench: CrmBench) -> None:
    """H6: from any page's cursor, in another process, also after the vendor failed in the middle."""
    fill(bench, 20, 10)
    small = await bench.paged(PAGE)
    whole = await Directory().fold(small, small.session.import_all(""))
    expect(bool(whole) and bool(whole[-1].cursor), "the last page of an import has no cursor for the feed to go on")
    for stop in sorted({1, 2, len(whole) // 2, len(whole) - 1} - {0}):
        directory = Directory()
        await directory.fold(small, small.session.import_all(""), most=stop)
        bench.wire.requests.clear()
        again = await bench.paged(PAGE)
        try:
            await directory.fold(again, again.session.import_all(directory.cursor))
            directory.agrees(bench)
        except NotConforming as err:
            fail(f"stopped after page {stop} of {len(whole)}: {err}", err)
    await _broken_off(bench, small)


async def _broken_off(bench: CrmBench, small: CrmBench) -> None:
    """The connection breaks after some requests; what was told before stands."""
    bench.wire.requests.clear()
    directory = Directory()

    def cut(request: httpx.Request) -> httpx.Response | None:
        if len(bench.wire.requests) == 4:
            raise httpx.ReadError("cut", request=request)
        return None

    bench.wire.answer = cut
    try:
        await directory.fold(small, small.session.import_all(""))
    except VendorError:
        pass
    except NotConforming:
        raise
    except Exception as err:  # noqa: BLE001 - that nothing else is raised is what is tested
        fail(f"a cut connection made import_all raise {told(err)} instead of Unavailable", err)
    finally:
        bench.wire.answer = None
    await directory.fold(small, small.session.import_all(directory.cursor))
    directory.agrees(bench)


@CHECKS.add()
async def open_deals_come_first_and_progress_only_grows(bench: CrmBench) -> None:
    """DESIGN 5: forwarding needs the open deals and their contacts; people watch the progress."""
    fill(bench, 20, 10)
    small = await bench.paged(PAGE)
    pages = [page async for page in small.session.import_all("")]
    first = next((page for page in pages if page.contacts or page.deals), None)
    if first is None:
        fail("the import told nothing")
    linked = {ref for page in pages for deal in page.deals for ref in deal.contact_ids}
    early = bool(first.deals) or {contact.id for contact in first.contacts} <= linked
    expect(early, "the import does not begin with the open deals and their contacts")
    progress = [page.progress for page in pages if page.progress is not None]
    expect(progress == sorted(progress), f"the progress goes back: {progress}")
    expect(all(0 <= share <= 1 for share in progress), f"progress is a share from 0 to 1: {progress}")


@CHECKS.add()
async def lists_end_though_the_vendor_repeats_a_page(bench: CrmBench) -> None:
    """No endless loop on a vendor's bug: a cursor or page that repeats ends the list, or is a VendorError.

    A barrier raises: what stands further on is unknown, and its silence would be taken for a proof (X5).
    """
    fill(bench, 14, 7)
    small = await bench.paged(PAGE)
    since = bench.clock.now() - timedelta(days=1)
    start = Directory()
    await start.fold(small, small.session.changes(""))
    fill(bench, 14, 7)
    kinds = set(bench.capabilities.barrier_kinds)
    readings: dict[str, Callable[[], AsyncIterator[Changes]]] = {
        "import_all": lambda: small.session.import_all(""),
        "changes": lambda: small.session.changes(start.cursor),
        "barrier": lambda: _once(small.session.barrier(kinds, since)),
    }
    several = Several()
    for name, read in readings.items():
        with several.case(name):
            await _ends_on_repetition(bench, read, is_proof=name == "barrier")
    several.report()


async def _once(reading: Awaitable[Changes]) -> AsyncIterator[Changes]:
    yield await reading


async def _ends_on_repetition(bench: CrmBench, read: Callable[[], AsyncIterator[Changes]], *, is_proof: bool) -> None:
    """Every list answers with the first full page that it gave, for ever."""
    pages: dict[str, httpx.Response] = {}
    asked = 0

    def repeat(request: httpx.Request) -> httpx.Response | None:
        nonlocal asked
        asked += 1
        if asked > MOST:
            raise _Endless
        kept = pages.get(f"{request.method} {request.url.path}")
        if kept is None:
            return None
        return httpx.Response(200, headers={"content-type": "application/json"}, content=kept.content, request=request)

    def hear(request: httpx.Request, response: httpx.Response) -> None:
        # pages come several to a list; what has one answer only (an account, a single record) is left alone
        if response.status_code == 200 and _is_list(request):
            pages.setdefault(f"{request.method} {request.url.path}", response)

    bench.wire.answer, bench.wire.heard = repeat, hear
    try:
        count = 0
        async for _ in read():
            count += 1
            expect(count < MOST, f"it told {MOST} pages and did not end")
        expect(not is_proof, "it took what it was told twice for the whole list: raise Unavailable")
    except VendorError:
        pass
    except _Endless:
        fail(f"after {MOST} requests it was still asking for the next page")
    except NotConforming:
        raise
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"it raised {told(err)}", err)
    finally:
        bench.wire.answer = bench.wire.heard = None


class _Endless(BaseException):
    """Breaks out of a loop that no plugin's ``except`` may keep."""


def _is_list(request: httpx.Request) -> bool:
    """Whether the request asks for a page, by its address or (a query language) by its body; only readings are seen."""
    asked = (request.url.query + b" " + request.content).decode("utf-8", "replace").lower()
    if "token" in request.url.path or "grant_type" in asked:
        return False
    return any(word in asked for word in ("page", "limit", "offset", "since", "cursor", "token"))
