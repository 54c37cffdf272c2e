"""Who follows a CRM's feeds, and who works in the CRM meanwhile, for the checks of reading."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx

from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task, user_of
from hub.ports import Changes
from hub.testing.check import expect
from hub.testing.crm_bench import CrmBench
from hub.testing.outfit import Held

__all__ = ["MOST", "PAGE", "Directory", "People", "fill"]

#: pages of so many, so that every list has several
PAGE = 4
#: a feed that asks more often than this about a handful of records will never end
MOST = 400
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
            expect(len(pages) < MOST, f"it told {MOST} pages of a small account and did not end")
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
