"""What the hub expects of a sink's barrier, its readings and searches, and of the CRM's own webhooks (X4, H6)."""

from __future__ import annotations

from datetime import timedelta

from hub.core.interaction import Identity
from hub.core.phone import Phone, parse_phone
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task
from hub.errors import AccessError, PayloadError
from hub.ports import Changes, RawRequest
from hub.testing.check import Checks, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_directory import PAGE, People, fill
from hub.testing.garbage import garbage

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()

_SOON = timedelta(seconds=100)


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
    small = await bench.paged(PAGE)
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
