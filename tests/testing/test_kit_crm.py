"""The kit finds what is wrong with a CRM plugin, and says it: one defect a row, put into a sound plugin (X4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import ModuleType
from typing import Any

import httpx
import pytest

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.plan import StepKey
from hub.core.records import Catalogue, RecordKind, RecordRef
from hub.errors import Rejected, Throttled, Unavailable, VendorError
from hub.ports import Applied, Changes, ConnectionContext, Done, Pace, RawRequest, Refused, Write
from hub.testing.outfit import SinkOutfit

Load = Callable[[str], ModuleType]
Told = Callable[..., str]


@pytest.fixture(scope="module")
def lory(scaffolded: Load) -> Iterator[tuple[SinkOutfit, Any]]:
    """The sound CRM, its sandbox served once for all rows."""
    outfit = scaffolded("hub_macaw.conformance").OUTFIT
    with outfit.serve() as stage:
        yield outfit, stage


def broken(outfit: SinkOutfit, defect: Callable[..., Any], **of_sink: Any) -> SinkOutfit:
    """The outfit with a sink whose sessions have the methods that ``defect`` changes."""
    kind = type(outfit.sink)

    class Broken(kind):  # type: ignore[misc, valid-type]  # the scaffold's class is known at run time only
        def open(self, context: ConnectionContext) -> Any:
            session = super().open(context)
            for name, method in defect(session).items():
                setattr(session, name, method)
            return session

    sink = Broken()
    for name, value in of_sink.items():
        setattr(sink, name, value)
    return replace(outfit, sink=sink)


def declaring(outfit: SinkOutfit, **changes: Any) -> SinkOutfit:
    """The outfit with a sink that declares something else."""
    sound = outfit.sink
    able = lambda settings: replace(sound.capabilities(settings), **changes)  # noqa: E731 - one expression
    return broken(outfit, lambda session: {}, capabilities=able)


# --- defects ----------------------------------------------------------------------------------------------------

Session = Any
Methods = dict[str, Callable[..., Any]]


def finds_nothing(session: Session) -> Methods:
    async def find_done(writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        return {}

    return {"find_done": find_done}


def believes_everything(session: Session) -> Methods:
    async def find_done(writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        ref = RecordRef(kind=RecordKind.CONTACT, id="1")
        return {write.key: Done(record=ref) for write in writes}

    return {"find_done": find_done}


def finds_by_kind_alone(session: Session) -> Methods:
    """Takes the newest record for whatever it is asked."""
    sound = session.find_done

    async def find_done(writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        found = dict(await sound(writes))
        known = next(iter(found.values()), None)
        return found | {write.key: known for write in writes if known and write.key not in found}

    return {"find_done": find_done}


def sends_one_by_one(session: Session) -> Methods:
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        answer: dict[StepKey, Applied] = {}
        for write in writes:
            answer |= await sound([write])
        return answer

    return {"apply": apply}


def repeats_blindly(session: Session) -> Methods:
    """A write whose answer was lost is sent again without looking."""
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        try:
            return dict(await sound(writes))
        except Unavailable:
            return dict(await sound(writes))

    return {"apply": apply}


def calls_throttling_a_failure(session: Session) -> Methods:
    return _translating(session, Throttled, lambda err: Unavailable(str(err)))


def is_sure_that_nothing_happened(session: Session) -> Methods:
    return _translating(session, Unavailable, lambda err: Unavailable(str(err), maybe_applied=False))


def is_never_sure(session: Session) -> Methods:
    return _translating(session, Unavailable, lambda err: Unavailable(str(err), maybe_applied=True))


def _translating(session: Session, kind: type[VendorError], to: Callable[[VendorError], VendorError]) -> Methods:
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        try:
            return dict(await sound(writes))
        except kind as err:
            raise to(err) from err

    return {"apply": apply}


def trusts_the_answer(session: Session) -> Methods:
    sound = session._client._results

    def results(answer: dict[str, Any], sent: Sequence[Any]) -> list[Any]:
        return sound(answer, sent) if len(answer["items"]) == len(sent) else [{"id": "1"}]

    session._client._results = results
    return {}


def believes_an_empty_answer(session: Session) -> Methods:
    session._client._results = lambda answer, sent: answer.get("items") or [{"id": "1"} for _ in sent]
    return {}


def takes_anything_for_an_empty_list(session: Session) -> Methods:
    sound = session._client._items

    def items(answer: Any) -> list[Any]:
        try:
            return list(sound(answer))
        except Unavailable:
            return []

    session._client._items = items
    return {}


def one_bad_item_spoils_all(session: Session) -> Methods:
    """The vendor took the good ones, and nobody is told."""
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        answer = dict(await sound(writes))
        if any(isinstance(one, Refused) for one in answer.values()):
            raise Rejected("one of them is wrong")
        return answer

    return {"apply": apply}


def what_is_gone_is_done(session: Session) -> Methods:
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        answer = await sound(writes)
        return {key: Done() if isinstance(one, Refused) and one.is_stale else one for key, one in answer.items()}

    return {"apply": apply}


def replaces_numbers(session: Session) -> Methods:
    async def nobody(kind: str, ids: Sequence[str]) -> list[Any]:
        return []

    session._client.by_id = nobody
    return {}


def forgets_the_responsible(session: Session) -> Methods:
    sound = session.apply

    async def apply(writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        return dict(await sound([replace(write, user=None) for write in writes]))

    return {"apply": apply}


def makes_a_record_when_connecting(session: Session) -> Methods:
    async def connect() -> Catalogue:
        await session._client.create("contacts", [{"name": "Hub"}])
        return await session.catalogue()  # type: ignore[no-any-return]  # the scaffold's session is known at run time

    return {"connect": connect}


def goes_its_own_way(session: Session) -> Methods:
    class Own(httpx.AsyncClient):
        pass

    session._client._http = Own(trust_env=False)

    async def close() -> None:
        await session._client._http.aclose()

    return {"close": close}


def shows_the_key(session: Session) -> Methods:
    key = session._settings.key.get_secret_value()
    return _translating(session, Unavailable, lambda err: Unavailable(f"{err} with the key {key}"))


def retries_without_credentials(session: Session) -> Methods:
    from hub.errors import NeedsCredentials

    return _translating(session, NeedsCredentials, lambda err: Unavailable(str(err)))


def has_one_address_for_all(session: Session) -> Methods:
    return {"record_url": lambda ref: "https://macaw.example/"}


def finds_neighbours(session: Session) -> Methods:
    sound = session.search

    async def search(identity: Identity) -> Changes:
        everybody = [item async for page, _ in session._client.pages("contacts") for item in page]
        from hub.core.records import Contact

        found: Changes = await sound(identity)
        return replace(found, contacts=tuple(Contact(id=str(one["id"])) for one in everybody))

    return {"search": search}


def reads_without_the_gone(session: Session) -> Methods:
    sound = session.read

    async def read(refs: Sequence[RecordRef]) -> Changes:
        found: Changes = await sound(refs)
        return replace(found, deleted=())

    return {"read": read}


def proves_absence_by_search(session: Session) -> Methods:
    async def barrier(kinds: Collection[RecordKind], since: datetime) -> Changes:
        found: Changes = await session.search(Identity(phones=(Phone("+380671234567"),)))
        return found

    return {"barrier": barrier}


def passes_over_what_is_odd(session: Session) -> Methods:
    """Of a list, only the records that can be read are taken."""
    sound = session._client.by_mark

    async def by_mark(kind: str, marks: Sequence[str]) -> list[Any]:
        return [item for item in await sound(kind, marks) if isinstance(item.get("mark"), str)]

    session._client.by_mark = by_mark
    return {}


def lists_only_contacts_with_numbers(session: Session) -> Methods:
    sound = session.barrier

    async def barrier(kinds: Collection[RecordKind], since: datetime) -> Changes:
        found: Changes = await sound(kinds, since)
        return replace(found, contacts=tuple(one for one in found.contacts if one.name[:1].isalpha()))

    return {"barrier": barrier}


def proves_absence_by_one_page(session: Session) -> Methods:
    sound = session.barrier

    async def barrier(kinds: Collection[RecordKind], since: datetime) -> Changes:
        found: Changes = await sound(kinds, since)
        return replace(found, contacts=found.contacts[:4])

    return {"barrier": barrier}


def tells_no_deletion(session: Session) -> Methods:
    return _each_page(session, "changes", lambda page: replace(page, deleted=()))


def keeps_no_cursor(session: Session) -> Methods:
    return _each_page(session, "changes", lambda page: replace(page, cursor=""))


def tells_the_past(session: Session) -> Methods:
    sound = session.changes

    async def changes(cursor: str) -> AsyncIterator[Changes]:
        async for page in sound(cursor or "feed:0"):
            yield page

    return {"changes": changes}


def _each_page(session: Session, method: str, change: Callable[[Changes], Changes]) -> Methods:
    sound = getattr(session, method)

    async def feed(cursor: str) -> AsyncIterator[Changes]:
        async for page in sound(cursor):
            yield change(page)

    return {method: feed}


def counts_its_way_through_lists(session: Session) -> Methods:
    """By offset instead of by change: what moves up while it reads is skipped."""
    client = session._client

    async def pages(kind: str, **params: str) -> AsyncIterator[tuple[list[Any], int]]:
        after, seen = params.pop("after", "0"), 0
        while True:
            query = {**params, "after": after, "limit": "100"}
            items = client._items(await client._ask("GET", f"/v1/{kind}", params=query))
            part = items[seen : seen + 4]
            if not part:
                return
            seen += 4
            yield part, part[-1]["change"]

    client.pages = pages
    return {}


def forgets_what_happened_meanwhile(session: Session) -> Methods:
    """The import ends without telling what changed while it ran, and its cursor is of its end."""
    sound = session.import_all

    async def import_all(cursor: str) -> AsyncIterator[Changes]:
        async for page in sound(cursor):
            if page.cursor.startswith("feed:"):
                yield Changes(cursor=f"feed:{await session._client.last_change()}", as_of=page.as_of)
                return
            yield page

    return {"import_all": import_all}


def loses_a_page_when_resumed(session: Session) -> Methods:
    sound = session.import_all

    async def import_all(cursor: str) -> AsyncIterator[Changes]:
        first = bool(cursor)
        async for page in sound(cursor):
            if not first:
                yield page
            first = False

    return {"import_all": import_all}


def begins_with_the_tasks(session: Session) -> Methods:
    sound = session.import_all

    async def import_all(cursor: str) -> AsyncIterator[Changes]:
        pages = [page async for page in sound(cursor)]
        for page in sorted(pages, key=lambda page: not page.tasks):
            yield page

    return {"import_all": import_all}


def never_comes_to_an_end(session: Session) -> Methods:
    client = session._client

    async def pages(kind: str, **params: str) -> AsyncIterator[tuple[list[Any], int]]:
        after = params.pop("after", "0")
        while items := client._items(
            await client._ask("GET", f"/v1/{kind}", params={**params, "after": after, "limit": "4"})
        ):
            after = str(items[-1]["change"])
            yield items, int(after)

    client.pages = pages
    return {}


DEFECTS: list[tuple[Callable[..., Methods], str, str]] = [
    # the defect, the expectation that finds it, what it says
    (finds_nothing, "what_apply_made_is_found_by_find_done", "does not find what was just applied"),
    (finds_nothing, "a_lost_answer_is_found_again_and_only_if_it_was_applied", "find_done misses it"),
    (finds_nothing, "writes_with_lost_answers_end_exactly_once", "the CRM holds"),
    (believes_everything, "a_lost_answer_is_found_again_and_only_if_it_was_applied", "what was never applied"),
    (believes_everything, "what_was_never_sent_is_not_looked_for", "found what was never sent"),
    (finds_by_kind_alone, "find_done_takes_no_record_for_another_steps", "is taken for another one"),
    (sends_one_by_one, "a_batch_costs_about_as_many_requests_as_one_step", "one step cost 1 requests, 4 cost 4"),
    (repeats_blindly, "a_lost_answer_is_found_again_and_only_if_it_was_applied", "went unnoticed"),
    (calls_throttling_a_failure, "being_throttled_is_told_and_passes", "instead of Throttled"),
    (
        is_sure_that_nothing_happened,
        "a_lost_answer_is_found_again_and_only_if_it_was_applied",
        "leaves a write in doubt",
    ),
    (is_never_sure, "a_refused_connection_leaves_nothing_in_doubt", "maybe_applied is True"),
    (trusts_the_answer, "whatever_the_vendor_answers_is_a_vendor_error", "apply raised KeyError"),
    (believes_an_empty_answer, "whatever_the_vendor_answers_is_a_vendor_error", "it is believed to be done"),
    (takes_anything_for_an_empty_list, "an_odd_answer_proves_no_absence", "find_done believed it"),
    (passes_over_what_is_odd, "a_record_that_cannot_be_read_proves_no_absence", "believed that it is not there"),
    (lists_only_contacts_with_numbers, "a_contact_that_cannot_be_read_is_in_the_barrier", "not in the barrier"),
    (one_bad_item_spoils_all, "a_bad_item_takes_nobody_with_it", "half was applied"),
    (what_is_gone_is_done, "changing_what_is_gone_is_stale", "not Refused(is_stale=True)"),
    (replaces_numbers, "every_declared_action_is_applied", "the number that was there is gone"),
    (replaces_numbers, "a_number_is_added_once_however_it_was_typed", "numbers are now"),
    (forgets_the_responsible, "every_declared_action_is_applied", "it belongs to"),
    (makes_a_record_when_connecting, "connecting_tells_what_can_be_chosen_by_name", "connecting made records"),
    (goes_its_own_way, "every_request_goes_through_the_hubs_client", "through the hub's client 0 times"),
    (shows_the_key, "no_secret_is_ever_shown", "secrets were shown"),
    (
        retries_without_credentials,
        "credentials_that_are_refused_stop_the_connection_and_new_ones_mend_it",
        "apply with",
    ),
    (has_one_address_for_all, "a_card_has_an_address_for_people", "two contacts have one address"),
    (finds_neighbours, "search_finds_a_client_by_number_with_what_is_open", "of the contacts were found"),
    (reads_without_the_gone, "reading_tells_what_is_there_and_what_is_gone", "told as deleted were none"),
    (proves_absence_by_search, "a_barrier_shows_what_search_does_not_know_yet", "it would be made twice"),
    (proves_absence_by_one_page, "a_barrier_of_many_pages_is_proof_while_people_work", "the barrier misses"),
    (tells_no_deletion, "whatever_people_do_reaches_the_directory", "delete: gone or closed in the CRM"),
    (keeps_no_cursor, "a_new_feed_starts_from_now_and_tells_what_comes", "no cursor to go on from"),
    (tells_the_past, "a_new_feed_starts_from_now_and_tells_what_comes", "tells of the past"),
    (counts_its_way_through_lists, "an_import_is_complete_also_while_people_work", "never told"),
    (forgets_what_happened_meanwhile, "an_import_is_complete_also_while_people_work", "never told"),
    (loses_a_page_when_resumed, "an_interrupted_import_goes_on_where_it_stopped", "never told"),
    (begins_with_the_tasks, "open_deals_come_first_and_progress_only_grows", "progress goes back"),
    (never_comes_to_an_end, "lists_end_though_the_vendor_repeats_a_page", "still asking for the next page"),
]


@pytest.mark.parametrize(
    ("defect", "expectation", "says"), DEFECTS, ids=[f"{row[0].__name__}-{row[1][:20]}" for row in DEFECTS]
)
def test_a_defect_is_found_by_the_expectation_that_names_it(
    defect: Callable[..., Methods], expectation: str, says: str, lory: tuple[SinkOutfit, Any], told: Told
) -> None:
    outfit, stage = lory
    assert says in told(broken(outfit, defect), expectation, stage)


def parses_no_webhook(request: RawRequest, context: ConnectionContext) -> Changes:
    import json

    return Changes(cursor=json.loads(request.body)["id"])


def test_a_webhook_that_breaks_the_sink_is_found(lory: tuple[SinkOutfit, Any], told: Told) -> None:
    outfit, stage = lory
    found = broken(outfit, lambda session: {}, parse_webhook=parses_no_webhook)
    assert "instead of PayloadError" in told(found, "any_bytes_at_the_crms_webhook_are_read_or_refused", stage)


FAST = Pace(requests=1000, source="nowhere")
DECLARED: list[tuple[dict[str, Any], str, str]] = [
    ({"pace": FAST}, "the_declared_pace_is_within_the_vendors_limit", "Throttled"),
    ({"pace": Pace(requests=5)}, "the_sink_has_what_the_protocol_asks_for", "does not say where its number comes from"),
    ({"actions": frozenset({"add_note", "sing"})}, "the_sink_has_what_the_protocol_asks_for", "does not know: sing"),
    ({"batch_sizes": {"add_note": 0}}, "the_sink_has_what_the_protocol_asks_for", "batch sizes below 1"),
    ({"batch_sizes": {"add_note": 51}}, "the_vendor_takes_a_batch_of_the_declared_size", "apply raised Rejected"),
    (
        {"actions": frozenset({"create_contact", "notify"})},
        "every_declared_action_is_applied",
        "a popup: a popup is shown, it leaves nothing",
    ),
]


@pytest.mark.parametrize(("changes", "expectation", "says"), DECLARED, ids=[row[2] for row in DECLARED])
def test_what_is_declared_and_not_kept_is_found(
    changes: dict[str, Any], expectation: str, says: str, lory: tuple[SinkOutfit, Any], told: Told
) -> None:
    outfit, stage = lory
    assert says in told(declaring(outfit, **changes), expectation, stage)
