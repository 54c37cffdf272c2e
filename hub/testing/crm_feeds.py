"""What the hub expects of a sink's reading: feeds, imports, barriers and searches lose nothing (X4, H6)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta

import httpx

from hub.core.interaction import Identity
from hub.core.phone import Phone, parse_phone
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task, user_of
from hub.errors import AccessError, PayloadError, VendorError
from hub.ports import Changes, RawRequest
from hub.testing.check import Checks, NotConforming, Several, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.garbage import garbage
from hub.testing.outfit import Held

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()

#: pages of so many, so that every list has several
_PAGE = 4
#: a feed that asks more often than this about a handful of records will never end
_MOST = 400
_SOON = timedelta(seconds=100)
_KINDS = (RecordKind.CONTACT, RecordKind.DEAL, RecordKind.TASK)


class Directory:
    """What somebody who follows the feeds knows."""

    def __init__(self) -> None:
        self.records: dict[RecordRef, Contact | Company | Deal | Task] = {}
        self.cursor = ""
        self.pages: list[Changes] = []

    async def fold(self, bench: CrmBench, feed: AsyncIterator[Changes], *, most: int = 0) -> list[Changes]:
        """Follow ``feed`` to its end, or for ``most`` pages; what is only touched is read again."""
        pages: list[Changes] = []
        async for page in feed:
            pages.append(page)
            self.take(page)
            if page.touched:
                self.take(await bench.session.read(page.touched))
            self.cursor = page.cursor or self.cursor
            if len(pages) == most:
                break
            expect(len(pages) < _MOST, f"it told {_MOST} pages of a small account and did not end")
        return pages

    def take(self, page: Changes) -> None:
        for records in (page.contacts, page.companies, page.deals, page.tasks):
            self.records |= {record.ref: record for record in records}
        for ref in page.deleted:
            self.records.pop(ref, None)

    def agrees(self, bench: CrmBench) -> None:
        """Report what the directory does not know, or knows wrongly, of what is open in the CRM."""
        held = {one.ref: one for one in bench.stage.records() if one.ref.kind in _KINDS and one.is_open}
        known = {ref: one for ref, one in self.records.items() if ref.kind in _KINDS and getattr(one, "is_open", True)}
        lost = [_name(one) for ref, one in held.items() if ref not in known]
        expect(not lost, f"never told: {', '.join(lost[:5])}")
        gone = [f"{ref.kind} {ref.id}" for ref in known if ref not in held]
        expect(not gone, f"gone or closed in the CRM, and never told: {', '.join(gone[:5])}")
        for ref, one in held.items():
            _is_as(one, known[ref])
            if one.contact_ids:
                # a link may be told by either end
                told = {c.id for c in known.values() if isinstance(c, Contact) and ref.id in c.deal_ids}
                deal = known[ref]
                told |= set(deal.contact_ids) if isinstance(deal, Deal) else set()
                missing = set(one.contact_ids) - told
                expect(not missing, f"{_name(one)} is linked to contact {', '.join(missing)}: never told")


def _name(held: Held) -> str:
    return f"{held.ref.kind} {held.ref.id} ({held.name!r})"


def _is_as(held: Held, known: Contact | Company | Deal | Task) -> None:
    text = known.text if isinstance(known, Task) else known.name
    expect(_words(text) == _words(held.name), f"{_name(held)} is still known as {text!r}")
    if held.responsible is not None:
        user = user_of(known.responsible) if known.responsible else None
        expect(user == held.responsible, f"{_name(held)} belongs to {held.responsible}, known is {known.responsible}")
    if isinstance(known, Task) and held.on is not None:
        expect(known.on == held.on, f"{_name(held)} hangs on {held.on}, known is {known.on}")


def _words(text: str) -> str:
    return " ".join(text.split())


def fill(bench: CrmBench, contacts: int, deals: int) -> None:
    """An account with some past, spread over time."""
    stage = bench.stage
    kinds = stage.hosts.get("create_task", (RecordKind.CONTACT,))
    for number in range(contacts):
        contact = stage.create_contact(f"Клиент {number}", f"+38067{number:07d}")
        if number < deals:
            deal = stage.create_deal(f"Сделка {number}", contact)
            stage.create_task(f"Дело {number}", contact if kinds[0] is RecordKind.CONTACT else deal)
        if number % 3 == 0:
            bench.advance(timedelta(seconds=1))


class People:
    """Who works in the CRM between any two requests of the plugin: everything that they can do, at random."""

    def __init__(self, bench: CrmBench, seed: int, *, every: int = 2) -> None:
        self._bench, self._chance, self._every = bench, random.Random(seed), every
        self._count = 0
        held = [one for one in bench.stage.records() if one.is_open]
        self._of = {kind: [one.ref for one in held if one.ref.kind is kind] for kind in _KINDS}

    async def work(self, _: httpx.Request) -> None:
        """Do something before every so-many-th request."""
        self._count += 1
        if self._count % self._every:
            return
        if self._chance.random() < 0.3:
            self._bench.advance(timedelta(seconds=1))
        self._act()

    def _act(self) -> None:
        stage, chance = self._bench.stage, self._chance
        contacts, deals, tasks = (self._of[kind] for kind in _KINDS)
        name = f"Имя {self._count}"
        deeds = [deed for deed in ("create_contact", *sorted(stage.deeds), "rename") if deed in stage.deeds]
        match chance.choice(deeds):
            case "create_contact":
                contacts.append(stage.create_contact(name))
            case "create_deal" if contacts:
                deals.append(stage.create_deal(name, chance.choice(contacts)))
            case "rename" if contacts:
                stage.rename(chance.choice(contacts), name)
            case "delete" if len(contacts) > 5 and chance.random() < 0.6:
                stage.delete(contacts.pop(chance.randrange(len(contacts))))
            case "delete" if len(deals) > 3:
                stage.delete(deals.pop(chance.randrange(len(deals))))
            case "merge" if len(contacts) > 5:
                kept, lost = chance.sample(contacts, 2)
                stage.merge(kept, lost)
                contacts.remove(lost)
            case "close" if deals:
                stage.close(deals.pop(chance.randrange(len(deals))))
            case "give" if deals and self._bench.users:
                stage.give(chance.choice(deals), self._bench.users[-1])
            case "complete" if tasks:
                stage.complete(tasks.pop(chance.randrange(len(tasks))))


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
        expect(_words(found.name) == name, f"renamed to {name!r}, known as {found.name!r}")


@CHECKS.add()
async def polling_loses_nothing_while_people_work(bench: CrmBench) -> None:
    """H6: lists shift under the reader's hands; what changed between two of its requests is told, now or next time."""
    fill(bench, 16, 8)
    small = await bench.paged(_PAGE)
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
    small = await bench.paged(_PAGE)
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
    small = await bench.paged(_PAGE)
    whole = await Directory().fold(small, small.session.import_all(""))
    expect(bool(whole) and bool(whole[-1].cursor), "the last page of an import has no cursor for the feed to go on")
    for stop in sorted({1, 2, len(whole) // 2, len(whole) - 1} - {0}):
        directory = Directory()
        await directory.fold(small, small.session.import_all(""), most=stop)
        bench.wire.requests.clear()
        again = await bench.paged(_PAGE)
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
    small = await bench.paged(_PAGE)
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
    """No endless loop on a vendor's bug: a cursor or page that repeats ends the list, or is a VendorError."""
    fill(bench, 14, 7)
    small = await bench.paged(_PAGE)
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
            await _ends_on_repetition(bench, read)
    several.report()


async def _once(reading: Awaitable[Changes]) -> AsyncIterator[Changes]:
    yield await reading


async def _ends_on_repetition(bench: CrmBench, read: Callable[[], AsyncIterator[Changes]]) -> None:
    """Every list answers with the first full page that it gave, for ever."""
    pages: dict[str, httpx.Response] = {}
    asked = 0

    def repeat(request: httpx.Request) -> httpx.Response | None:
        nonlocal asked
        asked += 1
        if asked > _MOST:
            raise _Endless
        if request.method != "GET":
            return None
        kept = pages.get(request.url.path)
        if kept is None:
            return None
        return httpx.Response(200, headers={"content-type": "application/json"}, content=kept.content, request=request)

    def hear(request: httpx.Request, response: httpx.Response) -> None:
        # pages come several to a list; what has one answer only (an account, a single record) is left alone
        if request.method == "GET" and response.status_code == 200 and _is_list(request, response):
            pages.setdefault(request.url.path, response)

    bench.wire.answer, bench.wire.heard = repeat, hear
    try:
        count = 0
        async for _ in read():
            count += 1
            expect(count < _MOST, f"it told {_MOST} pages and did not end")
    except VendorError:
        pass
    except _Endless:
        fail(f"after {_MOST} requests it was still asking for the next page")
    except NotConforming:
        raise
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"it raised {told(err)}", err)
    finally:
        bench.wire.answer = bench.wire.heard = None


class _Endless(BaseException):
    """Breaks out of a loop that no plugin's ``except`` may keep."""


def _is_list(request: httpx.Request, response: httpx.Response) -> bool:
    query = str(request.url.query.decode("utf-8", "replace"))
    return any(word in query for word in ("page", "limit", "offset", "since", "cursor", "token"))


# --- barrier, read, search --------------------------------------------------------------------------------------


@CHECKS.add()
async def a_barrier_shows_what_search_does_not_know_yet(bench: CrmBench) -> None:
    """DESIGN 2: absence from it is proof, so lists that do not lag must stand behind it."""
    kinds = bench.capabilities.barrier_kinds
    bench.stage.lag_search()
    before = bench.clock.now() - timedelta(seconds=1)
    made = {RecordKind.CONTACT: bench.stage.create_contact("Ольга", "+380671234567")}
    made[RecordKind.DEAL] = bench.stage.create_deal("Чай", made[RecordKind.CONTACT])
    hosts = bench.stage.hosts.get("create_task", (RecordKind.CONTACT,))
    made[RecordKind.TASK] = bench.stage.create_task("Дело", made[hosts[0]])
    for kind, ref in made.items():
        if kind in kinds:
            seen = _refs(await bench.session.barrier({kind}, before))
            expect(ref in seen, f"the barrier does not show the {kind} that was just made: it would be made twice")


def _refs(page: Changes) -> set[RecordRef]:
    records: list[Contact | Company | Deal | Task] = [*page.contacts, *page.companies, *page.deals, *page.tasks]
    return {*(record.ref for record in records), *page.touched}


@CHECKS.add()
async def a_barrier_of_many_pages_is_proof_while_people_work(bench: CrmBench) -> None:
    """DESIGN 2: every contact that changed since and still stands is in it."""
    if RecordKind.CONTACT not in bench.capabilities.barrier_kinds:
        return
    began = bench.clock.now() - timedelta(seconds=1)
    fill(bench, 20, 0)
    small = await bench.paged(_PAGE)
    held = bench.refs(RecordKind.CONTACT)
    bench.wire.before = People(bench, 5, every=1).work
    seen = _refs(await small.session.barrier({RecordKind.CONTACT}, began))
    bench.wire.before = None
    missing = (held & bench.refs(RecordKind.CONTACT)) - seen
    expect(not missing, f"the barrier misses {len(missing)} contacts that changed since and are still there")


@CHECKS.add()
async def reading_tells_what_is_there_and_what_is_gone(bench: CrmBench) -> None:
    """`SinkSession.read`: every asked record comes back, as it is or as deleted."""
    contact = bench.stage.create_contact("Ольга", bench.phone())
    deal = bench.stage.create_deal("Чай", contact)
    kinds = bench.stage.hosts.get("create_task", (RecordKind.CONTACT,))
    task = bench.stage.create_task("Дело", contact if RecordKind.CONTACT in kinds else deal)
    there = {contact, deal, task}
    gone = {RecordRef(kind=ref.kind, id=_other_id(ref.id)) for ref in there}
    if "delete" in bench.stage.deeds:
        lost = bench.stage.create_contact("Пётр", bench.phone())
        bench.stage.delete(lost)
        gone.add(lost)
    seen = await bench.session.read([*there, *gone])
    expect(_refs(seen) == there, f"there are {_told(there)}, read were {_told(_refs(seen))}")
    expect(set(seen.deleted) == gone, f"gone are {_told(gone)}, told as deleted were {_told(set(seen.deleted))}")
    expect(not _refs(await bench.session.read([])), "reading nothing told something")


def _other_id(known: str) -> str:
    """An id of the same shape that nothing has."""
    return "9" * len(known) if known.isdigit() else known[:-3] + "zzz"


def _told(refs: set[RecordRef]) -> str:
    return ", ".join(sorted(f"{ref.kind} {ref.id}" for ref in refs)) or "none"


@CHECKS.add()
async def search_finds_a_client_by_number_with_what_is_open(bench: CrmBench) -> None:
    """C4: however the number was typed; a neighbour with the same last digits is somebody else."""
    wanted = bench.stage.create_contact("Ольга", "(067) 123-45-67")
    bench.stage.create_contact("Двойник", "+380501234567")
    deal = bench.stage.create_deal("Чай", wanted)
    kinds = bench.stage.hosts.get("create_task", (RecordKind.CONTACT,))
    task = bench.stage.create_task("Дело", wanted if RecordKind.CONTACT in kinds else deal)
    phone = parse_phone("0671234567", bench.outfit.region)
    expect(phone is not None, f"the kit's numbers are not valid in {bench.outfit.region}")
    bench.advance(_SOON)
    seen = await bench.session.search(Identity(phones=(Phone("+380671234567"),)))
    found = [contact.id for contact in seen.contacts]
    expect(found == [wanted.id], f"of the contacts were found {found}, wanted is {wanted.id}")
    expect([one.id for one in seen.deals] == [deal.id], f"the client's open deal is not told: {seen.deals}")
    expect([one.id for one in seen.tasks] == [task.id], f"the client's open task is not told: {seen.tasks}")
    nobody = await bench.session.search(Identity(phones=(Phone("+380931112233"),)))
    expect(not nobody.contacts, f"a number that nobody has found {nobody.contacts}")


# --- the CRM's own webhooks -------------------------------------------------------------------------------------


@CHECKS.add()
async def any_bytes_at_the_crms_webhook_are_read_or_refused(bench: CrmBench) -> None:
    """H11: `Sink.parse_webhook` raises PayloadError, AccessError for another account, or nothing."""

    def judge(request: RawRequest) -> None:
        try:
            found = bench.outfit.sink.parse_webhook(request, bench.context)
        except (PayloadError, AccessError):
            return
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"parse_webhook raised {told(err)} instead of PayloadError", err)
        expect(isinstance(found, Changes), f"parse_webhook returned {type(found).__name__}")

    json = RawRequest(
        method="POST",
        headers=(("content-type", "application/json"),),
        body=b'{"module": "Contacts", "ids": ["1"], "operation": "update", "token": "x", "data": [{"id": 1}]}',
        received_at=bench.clock.now(),
    )
    form = RawRequest(
        method="POST",
        headers=(("content-type", "application/x-www-form-urlencoded"),),
        body=b"leads[update][0][id]=1&account[id]=2&account[subdomain]=x",
        received_at=bench.clock.now(),
    )
    garbage([json, form], judge, examples=100)
