"""What the hub expects of a source that owes replies or sends messages (`hub.messenger`)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import httpx

from hub.core.phone import Phone
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.errors import NeedsCredentials, Throttled, Unavailable
from hub.messenger import KnownClient, KnownDeal, KnownEmployee, OwedQuestion, OwesReply, SendsMessages
from hub.ports import RawRequest, Reply
from hub.testing.check import Checks, Several, expect, fail, told
from hub.testing.garbage import garbage
from hub.testing.outfit import Fault, SourceStage
from hub.testing.outside import Nowhere, untouched
from hub.testing.source_bench import SourceBench
from hub.testing.source_vendor import in_sandbox

__all__ = ["CHECKS"]

CHECKS: Checks[SourceBench] = Checks()

_OLENA = KnownEmployee(id=EmployeeId("olena"), name="Olena Koval", email="olena@example.com", staff_ids=("1101",))
#: somebody whom the CRM knows well, and somebody of whom nothing is known
_KNOWN = KnownClient(
    client_id="client-77",
    name="Petro Bondar",
    phones=(Phone("+380501112233"),),
    emails=("petro@example.com",),
    connection="crm",
    contact=RecordRef(kind=RecordKind.CONTACT, id="4100001"),
    responsible=_OLENA,
    open_deals=(
        KnownDeal(
            shared_id="deal-88",
            ref=RecordRef(kind=RecordKind.DEAL, id="5200001"),
            connection="crm",
            name="Tea",
            responsible=_OLENA,
            url="https://crm.example/deals/5200001",
        ),
    ),
    card_url="https://crm.example/contacts/4100001",
)
_STRANGER = KnownClient(client_id="client-78", promised_deal_id="deal-89")


def _owes(source: object) -> bool:
    return isinstance(source, OwesReply)


def _sends(source: object) -> bool:
    return isinstance(source, SendsMessages)


def _question(bench: SourceBench, request: RawRequest) -> OwedQuestion | None:
    assert isinstance(bench.source, OwesReply)
    try:
        question = bench.source.owed_question(request, bench.channel)
    except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
        fail(f"owed_question raised {told(err)}: it must be total", err)
    expect(question is None or isinstance(question, OwedQuestion), f"owed_question returned {question!r}")
    if question is not None:
        expect(question.otherwise.status == 200, f"OwedQuestion.otherwise has the status {question.otherwise.status}")
    return question


def _reply(bench: SourceBench, question: OwedQuestion, client: KnownClient) -> Reply:
    assert isinstance(bench.source, OwesReply)
    try:
        reply = bench.source.owed_reply(question, client, bench.channel)
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"owed_reply raised {told(err)}", err)
    expect(reply.status == 200, f"owed_reply has the status {reply.status}, not 200")
    if "json" in reply.content_type:
        try:
            json.loads(reply.body)
        except ValueError as err:
            fail(f"the reply says that it is JSON and is not: {reply.body[:80]!r}", err)
    return reply


@CHECKS.add(_owes)
async def the_replies_that_the_vendor_waits_for_are_given(bench: SourceBench) -> None:
    """DESIGN 2.1: owed to the payload files that the outfit names and to no other; what is known stands in them."""
    expect(bool(bench.outfit.owed), "the source owes replies, and the outfit names no payload file of such a request")
    strange = sorted(bench.outfit.owed - set(bench.requests))
    expect(not strange, f"there is no payload file {', '.join(strange)}")
    several = Several()
    for name, request in bench.requests.items():
        with several.case(name), untouched("owing a reply"):
            question = _question(bench, request)
            ours = (_KNOWN.client_id, _KNOWN.name, _KNOWN.card_url, _KNOWN.open_deals[0].shared_id)
            if name not in bench.outfit.owed:
                # some vendors want a word of their own on whatever they send; the client is nobody's business then
                reply = _reply(bench, question, _KNOWN).body.decode("utf-8", "replace") if question else ""
                expect(not any(one in reply for one in ours), "a reply tells of the client where nobody waits for it")
                continue
            if question is None:
                fail("the vendor waits for a reply, and none is owed")
            known, stranger = _reply(bench, question, _KNOWN), _reply(bench, question, _STRANGER)
            _reply(bench, question, KnownClient())
            expect(known == _reply(bench, question, _KNOWN), "the same client got two replies")
            text = known.body.decode("utf-8", "replace").replace("\\/", "/")
            expect(any(one in text for one in ours), f"the reply tells nothing of what is known: {text[:120]}")
            leaked = [one for one in ours if one in stranger.body.decode("utf-8", "replace")]
            expect(not leaked, f"the reply about a stranger tells of another client: {leaked}")
    several.report()


@CHECKS.add(_owes)
async def owing_a_reply_does_not_break_on_garbage(bench: SourceBench) -> None:
    """`owed_question` is total on any bytes, and what it asks can be answered."""

    def judge(request: RawRequest) -> None:
        question = _question(bench, request)
        if question is not None:
            for client in (_KNOWN, KnownClient()):
                _reply(bench, question, client)

    garbage(list(bench.readable.values()), judge, examples=100)


# --- sending ----------------------------------------------------------------------------------------------------


@CHECKS.add(_sends)
async def a_message_goes_out_once_whatever_happens_to_its_answer(bench: SourceBench) -> None:
    """W9, X5: throttled, failed and lost answers are told apart; a repetition within the window doubles nothing."""

    async def work(stage: SourceStage) -> None:
        source, message = bench.source, stage.outgoing
        assert isinstance(source, SendsMessages)
        if message is None:
            fail("it sends messages, and the outfit's stage has none to send (SourceStage.outgoing)")
        source.check(message, stage.channel)
        window = source.repeat_window(stage.channel)
        for place, fault in enumerate(Fault):
            one = replace(message, id=f"{message.id[:-1]}{place}", text=f"{message.text} {place}")
            stage.fail_next(fault)
            try:
                await source.send(stage.channel, stage.http, one)
            except Throttled:
                expect(fault is Fault.THROTTLED, f"{fault}: told as Throttled")
            except Unavailable as err:
                expect(fault is not Fault.THROTTLED, "the vendor asked to slow down: not told as Throttled")
                expect(err.maybe_applied, f"{fault}: leaves the message in doubt (Unavailable.maybe_applied)")
            else:
                fail(f"{fault}: went unnoticed")
            if fault is Fault.LOST and window <= timedelta(0):
                continue
            await source.send(stage.channel, stage.http, one)
            count = [text for text in stage.sent() if one.text in text]
            expect(len(count) == 1, f"{fault}, then sent again: the client got it {len(count)} times")

    await in_sandbox(bench, "send", work)


@CHECKS.add(_sends)
async def sending_with_a_refused_key_needs_credentials(bench: SourceBench) -> None:
    """The vendor's "no" is NeedsCredentials; a vendor that cannot be reached leaves nothing in doubt."""

    async def work(stage: SourceStage) -> None:
        source = bench.source
        assert isinstance(source, SendsMessages)
        if stage.outgoing is None or stage.refused is None:
            return
        try:
            await source.send(stage.refused, stage.http, stage.outgoing)
        except NeedsCredentials:
            pass
        else:
            fail("a key that the vendor refuses went unnoticed")
        expect(not [text for text in stage.sent() if stage.outgoing.text in text], "it was sent all the same")
        async with httpx.AsyncClient(transport=Nowhere()) as nowhere:
            try:
                await source.send(stage.channel, nowhere, stage.outgoing)
            except Unavailable as err:
                expect(not err.maybe_applied, "a refused connection leaves nothing in doubt (maybe_applied)")
            else:
                fail("a refused connection went unnoticed")

    await in_sandbox(bench, "send", work)
