"""What the hub expects of a sink when one record of a list cannot be read as it should be (X4, X5)."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from hub.core.plan import AddNote, CreateTask, RecordCall
from hub.core.records import RecordKind
from hub.errors import VendorError
from hub.ports import Write
from hub.testing.check import Checks, Several, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_steps import CREATING, each

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()

#: the way from a record to one of its parts
Place: TypeAlias = tuple[str | int, ...]


@CHECKS.add()
async def a_record_that_cannot_be_read_proves_no_absence(bench: CrmBench) -> None:
    """X5: what was applied is found though a part of its record is odd, or nobody says that it is not there; what was
    never applied, and every other record, is looked for as ever."""
    several = Several()
    tried: set[str] = set()
    for kind, step in each(bench, tuple(sorted(CREATING - bench.capabilities.deduplicated))):
        if kind in tried and kind != "create_deal":
            continue  # wherever it hangs, it is read alike
        tried.add(kind)
        made, other, never = step.make(bench), step.make(bench), step.make(bench)
        done = [await bench.done(write) for write in (made, other)]
        damage = _Damage(_marks(made), lambda value: {})
        for place in await _places(bench, damage, made):
            damage.place = place
            with several.case(f"{step.name} whose {'.'.join(map(str, place))} is {{}}"):
                bench.wire.rewrite = damage
                try:
                    found = dict(await bench.session.find_done([made]))
                except VendorError:
                    found = {made.key: done[0]}
                except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
                    fail(f"find_done raised {told(err)}", err)
                expect(made.key in found, "find_done believed that it is not there: it would be made twice")
                expect(found[made.key].record == done[0].record, f"find_done names {found[made.key].record}")
                is_clear = not damage.holds_mark and len(place) == 1
                looked = await bench.find_done([other, never] if is_clear else [other])
                expect(other.key in looked, "find_done misses its neighbour")
                expect(never.key not in looked, f"a {kind} that was never sent is taken for it")
            bench.wire.rewrite = None
    several.report()


@CHECKS.add()
async def a_contact_that_cannot_be_read_is_in_the_barrier(bench: CrmBench) -> None:
    """DESIGN 2: with its number, wherever the odd part hides it, or the barrier is refused; only a record without an id
    is nobody's. Or the client's next call would make another contact."""
    if RecordKind.CONTACT not in bench.capabilities.barrier_kinds:
        return
    several = Several()
    since = bench.clock.now() - timedelta(seconds=1)
    phone = bench.phone()
    ref = bench.stage.create_contact("Ольга", phone)
    bench.stage.create_contact("Іван", bench.phone())
    damage = _Damage((phone[1:],), lambda value: {"odd": value})
    damage.place = ()
    bench.wire.rewrite = damage
    await bench.session.barrier({RecordKind.CONTACT}, since)
    places = [place for place in _parts(damage.seen, damage.is_marked) if place != ("id",)]
    expect(bool(places), "no answer of the vendor's holds the contact that a person made")
    for place in places:
        damage.place = place
        with several.case(f"a contact whose {'.'.join(map(str, place))} is odd"):
            try:
                page = await bench.session.barrier({RecordKind.CONTACT}, since)
            except VendorError:
                continue
            except Exception as err:  # noqa: BLE001 - as above
                fail(f"barrier raised {told(err)}", err)
            phones = {one.ref: one.phones for one in page.contacts}
            expect(ref in phones, "it is not in the barrier: it would be made twice")
            expect(phone in phones[ref], f"its numbers are told as {phones[ref]}: it would be made twice")
            expect(len(phones) == 2, f"{len(phones)} of 2 contacts are told")
    bench.wire.rewrite = None
    several.report()


class _Damage:
    """Rewrites answers: in the record that holds one of ``marks``, what stands at `place` becomes something else."""

    def __init__(self, marks: Sequence[str], becomes: Callable[[Any], Any]) -> None:
        self._marks, self._becomes = marks, becomes
        self.place: Place = ()
        #: the record as the vendor told it last
        self.seen: dict[str, Any] = {}
        #: whether the part that was changed held a mark
        self.holds_mark = False

    def __call__(self, body: bytes) -> bytes:
        try:
            answer = json.loads(body)
        except ValueError:
            return body
        for record in _records(answer):
            if self.is_marked(record):
                self.seen = copy.deepcopy(record)
                if self.place:
                    self._change(record)
        return json.dumps(answer).encode()

    def is_marked(self, value: Any) -> bool:
        """Whether one of the marks stands in ``value``."""
        text = json.dumps(value, ensure_ascii=False)
        return any(mark in text for mark in self._marks)

    def _change(self, record: dict[str, Any]) -> None:
        value: Any = record
        for part in self.place[:-1]:
            value = value.get(part, {}) if isinstance(value, dict) else value[part]
        last = self.place[-1]
        if not isinstance(value, dict) or last in value:
            self.holds_mark = self.is_marked(value[last])
            value[last] = self._becomes(value[last])


def _records(answer: Any) -> Iterator[dict[str, Any]]:
    """The members of the outermost lists of an answer."""
    if isinstance(answer, list):
        yield from (item for item in answer if isinstance(item, dict))
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from _records(value)


def _parts(record: dict[str, Any], is_marked: Callable[[Any], bool]) -> list[Place]:
    """Where it may be damaged: each field, and what the first of several is made of where a mark is."""
    found: list[Place] = []
    for name, value in record.items():
        found.append((name,))
        if isinstance(value, list) and value and isinstance(value[0], dict) and is_marked(value):
            found += [(name, 0), *((name, 0, inner) for inner in value[0])]
    return found


async def _places(bench: CrmBench, damage: _Damage, write: Write) -> list[Place]:
    bench.wire.rewrite = damage
    await bench.find_done([write])
    bench.wire.rewrite = None
    expect(bool(damage.seen), f"no answer of the vendor's holds the {write.action.kind} that was made")
    return _parts(damage.seen, damage.is_marked)


def _marks(write: Write) -> tuple[str, ...]:
    """By what a record is known to be the one that ``write`` made."""
    action = write.action
    own = [write.with_contact.hub_id] if write.with_contact else []
    match action:
        case RecordCall():
            return (write.hub_id, action.uniq)
        case AddNote() | CreateTask():
            return (write.hub_id, action.text)
    return (write.hub_id, *own)
