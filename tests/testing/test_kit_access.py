"""The kit finds tokens that are not rotated safely, and abilities of channels that do not hold (X4, DESIGN 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hub_amocrm.conformance import OUTFIT as AMOCRM
from hub_amocrm.sink import AmoCrmSink
from hub_ringostat.conformance import OUTFIT as RINGOSTAT
from hub_ringostat.source import RingostatSource as Ringostat

from hub.core.interaction import ClientId
from hub.core.merge import CallFragment
from hub.core.outgoing import Outgoing
from hub.errors import Throttled, Unavailable
from hub.messenger import KnownClient, OwedQuestion, Sent
from hub.ports import ChannelConfig, ConnectionContext, ForwardingAnswer, ForwardingQuestion, Parsed, RawRequest, Reply
from hub.testing.outfit import Fault, SinkOutfit, SourceOutfit, SourceStage

Told = Callable[..., str]


# --- tokens -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amocrm() -> Iterator[Any]:
    with AMOCRM.serve() as stage:
        yield stage


class WithoutLock:
    """A sink that takes no lock."""

    def __init__(self, state: Any) -> None:
        self._state = state

    async def load(self) -> tuple[dict[str, Any], int]:
        found: tuple[dict[str, Any], int] = await self._state.load()
        return found

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        version: int = await self._state.save(value, expected_version)
        return version

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def nothing() -> AsyncIterator[None]:
            yield

        return nothing()


class KeepsInMemory(WithoutLock):
    """A sink that stores new tokens when it has the time, after they were used."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self._kept: tuple[dict[str, Any], int] | None = None

    async def load(self) -> tuple[dict[str, Any], int]:
        return self._kept or await super().load()

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        if "tokens" in (await super().load())[0]:
            self._kept = (dict(value), expected_version + 1)
            return expected_version + 1
        return await super().save(value, expected_version)

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        found: AbstractAsyncContextManager[None] = self._state.lock(name)
        return found


def with_state(state: type[WithoutLock]) -> SinkOutfit:
    class Broken(AmoCrmSink):
        def open(self, context: ConnectionContext) -> Any:
            return super().open(replace(context, state=state(context.state)))

    return replace(AMOCRM, sink=Broken())


def test_renewing_without_a_lock_is_found(amocrm: Any, told: Told) -> None:
    assert told(with_state(WithoutLock), "sessions_at_once_renew_a_token_once", amocrm)


def test_a_token_that_is_used_before_it_is_stored_is_found(amocrm: Any, told: Told) -> None:
    problem = told(with_state(KeepsInMemory), "a_token_is_stored_before_it_is_used", amocrm)
    assert "that is not stored" in problem


class Late(AmoCrmSink):
    """Renews a token only when it is dead."""

    def open(self, context: ConnectionContext) -> Any:
        settings = context.settings.model_copy(update={"refresh_ahead": timedelta(0)})
        return super().open(replace(context, settings=settings))


def test_renewing_at_the_last_moment_is_found(amocrm: Any, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    late = replace(AMOCRM, sink=Late())
    expectation = "a_crash_between_renewing_and_storing_loses_no_connection"
    assert "nothing was renewed" in told(late, expectation, amocrm)
    monkeypatch.setattr(type(amocrm), "renews_after", type(amocrm).expires_after)
    assert "the connection is lost" in told(late, expectation, amocrm)


# --- forwarding and the vendor's log ----------------------------------------------------------------------------


class RaisesOnAQuestion(Ringostat):
    def forwarding_question(self, request: RawRequest, channel: ChannelConfig) -> ForwardingQuestion:
        import json

        json.loads(request.body or b"{}")
        return super().forwarding_question(request, channel)


class AnswersAnError(Ringostat):
    def forwarding_reply(self, question: ForwardingQuestion, answer: ForwardingAnswer, channel: ChannelConfig) -> Reply:
        reply: Reply = super().forwarding_reply(question, answer, channel)
        return reply if question.caller else replace(reply, status=400)


class RemembersTheLastOne(Ringostat):
    _last = ""

    def forwarding_reply(self, question: ForwardingQuestion, answer: ForwardingAnswer, channel: ChannelConfig) -> Reply:
        self._last = answer.destination or self._last
        known = ForwardingAnswer(destination=self._last)
        return super().forwarding_reply(question, known, channel)


class LosesARow(Ringostat):
    async def list_interactions(
        self, channel: ChannelConfig, http: httpx.AsyncClient, since: datetime, until: datetime
    ) -> AsyncIterator[Parsed]:
        rows = [one async for one in super().list_interactions(channel, http, since, until)]
        for one in rows[1:]:
            yield one


class HidesWhereItCameFrom(Ringostat):
    async def list_interactions(
        self, channel: ChannelConfig, http: httpx.AsyncClient, since: datetime, until: datetime
    ) -> AsyncIterator[Parsed]:
        async for one in super().list_interactions(channel, http, since, until):
            yield replace(one, is_recovered=False) if isinstance(one, CallFragment) else one


class ForgetsAnEmployee(Ringostat):
    async def list_employees(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[Any]:
        return list(await super().list_employees(channel, http))[1:]


class CallsItUnavailable(Ringostat):
    async def list_employees(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[Any]:
        try:
            return list(await super().list_employees(channel, http))
        except Exception as err:
            raise Unavailable("no") from err


ABILITIES: list[tuple[Any, str, str]] = [
    # the defect, the expectation that finds it, what it says
    (RaisesOnAQuestion, "any_question_is_answered_with_status_200", "it must be total"),
    (AnswersAnError, "any_question_is_answered_with_status_200", "has the status 400"),
    (RemembersTheLastOne, "the_destination_is_told_and_nobody_is_told_as_nothing", "was remembered"),
    (LosesARow, "the_log_agrees_with_the_webhooks", "told by one way only"),
    (HidesWhereItCameFrom, "the_log_agrees_with_the_webhooks", "not marked as recovered"),
    (ForgetsAnEmployee, "the_employees_are_told", "the vendor knows"),
    (CallsItUnavailable, "a_refused_key_needs_credentials", "instead of NeedsCredentials"),
]


@pytest.mark.parametrize(("source", "expectation", "says"), ABILITIES, ids=[row[0].__name__ for row in ABILITIES])
def test_an_ability_that_does_not_hold_is_found(source: Any, expectation: str, says: str, told: Told) -> None:
    assert says in told(replace(RINGOSTAT, source=source()), expectation)


# --- owed replies and sending -----------------------------------------------------------------------------------


class Messenger(Ringostat):
    """A sound one: owes a reply to rated calls, sends into a list, recognises repetitions."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.faults: list[Fault] = []

    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        return OwedQuestion(kind="rated") if b"rated" in request.query else None

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        return Reply(body=client.name.encode())

    def repeat_window(self, channel: ChannelConfig) -> timedelta:
        return timedelta(hours=1)

    def check(self, message: Outgoing, channel: ChannelConfig) -> None: ...

    async def list_accounts(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[Any]:
        return ()

    async def send(self, channel: ChannelConfig, http: httpx.AsyncClient, message: Outgoing) -> Sent:
        fault = self.faults.pop() if self.faults else None
        if fault is Fault.THROTTLED:
            raise Throttled("slow down")
        if fault in (None, Fault.LOST):
            self.sent[self.known(message)] = message.text
        if fault is not None:
            raise Unavailable("no answer")
        return Sent(external_id=message.id)

    def known(self, message: Outgoing) -> str:
        return message.id


class KnowsNoRepetition(Messenger):
    def known(self, message: Outgoing) -> str:
        return f"{message.id}-{len(self.sent)}"


class TakesThrottlingForDone(Messenger):
    async def send(self, channel: ChannelConfig, http: httpx.AsyncClient, message: Outgoing) -> Sent:
        try:
            return await super().send(channel, http, message)
        except Throttled:
            return Sent()


class OwesEverybody(Messenger):
    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        return OwedQuestion(kind="any")


class TellsNothing(Messenger):
    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        return Reply(body=b"ok")


class OwesNobody(Messenger):
    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        return None


class BreaksOnGarbage(Messenger):
    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        assert request.query.decode("ascii").isascii()
        return super().owed_question(request, channel)


class TellsOfOthers(Messenger):
    _last = ""

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        self._last = client.name or self._last
        return Reply(body=self._last.encode())


def messenger(source: Messenger) -> SourceOutfit:
    message = Outgoing(
        id="m-00",
        project="conformance",
        channel="channel",
        client_id=ClientId("c"),
        chat=("whatsapp", "380501112233"),
        account="a",
        text="Hello",
        created_at=datetime(2026, 7, 29, tzinfo=UTC),
    )

    @asynccontextmanager
    async def open_stage() -> AsyncIterator[SourceStage]:
        assert RINGOSTAT.open is not None
        async with RINGOSTAT.open() as stage:
            yield replace(
                stage,
                outgoing=message,
                sent=lambda: tuple(source.sent.values()),
                fail_next=source.faults.append,
            )

    owed = frozenset(path.name for path in RINGOSTAT.payloads.iterdir() if path.name.startswith("rated"))
    return replace(RINGOSTAT, source=source, open=open_stage, owed=owed)


REPLIES: list[tuple[Any, str, str]] = [
    (OwesEverybody, "the_replies_that_the_vendor_waits_for_are_given", "where nobody waits for it"),
    (OwesNobody, "the_replies_that_the_vendor_waits_for_are_given", "and none is owed"),
    (TellsNothing, "the_replies_that_the_vendor_waits_for_are_given", "tells nothing of what is known"),
    (TellsOfOthers, "the_replies_that_the_vendor_waits_for_are_given", "tells of another client"),
    (BreaksOnGarbage, "owing_a_reply_does_not_break_on_garbage", "it must be total"),
    (KnowsNoRepetition, "a_message_goes_out_once_whatever_happens_to_its_answer", "the client got it 2 times"),
    (TakesThrottlingForDone, "a_message_goes_out_once_whatever_happens_to_its_answer", "went unnoticed"),
]


@pytest.mark.parametrize(("source", "expectation", "says"), REPLIES, ids=[row[0].__name__ for row in REPLIES])
def test_a_messenger_that_does_not_hold_is_found(source: Any, expectation: str, says: str, told: Told) -> None:
    assert says in told(messenger(source()), expectation)
