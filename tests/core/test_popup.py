"""For whom something pops up, and how it moves (DESIGN 8, A12, C7, U1, W2, W4, W12): tables that read like the spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hub.core.facts import establish
from hub.core.interaction import (
    Call,
    Chat,
    ChatMessage,
    Destination,
    Direction,
    Disposition,
    Identity,
    Interaction,
    InteractionId,
    Message,
    ProjectId,
)
from hub.core.phone import Phone
from hub.core.policy import Policy
from hub.core.popup import LONGEST_TEXT, Popup, assigned, popup_key, popup_of, record_key, told
from hub.core.records import EmployeeId
from hub.core.snapshot import Snapshot
from hub.testing.builders import (
    CLIENT,
    COLLEAGUE,
    HEAD,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    STRANGER,
    TEAM,
    answered,
    call,
    client,
    form,
    leg,
    missed,
    outgoing,
    policy,
    voicemail,
)

RULES = policy("car-dealer")
AWAY, GONE = (
    policy(
        "car-dealer",
        team=TEAM.replace(
            'staff_ids = ["1101"]',
            f'staff_ids = ["1101"]\nabsences = [{{ since = 2026-03-01, until = 2026-03-09{deputy} }}]',
        ),
    )
    for deputy in (', deputy = "ivan"', "")
)
KNOWN = client(OWNER, deal=OWNER)


def pending(*legs: str, taken: str = "", then: Sequence[str] = (), **changes: object) -> Call:
    """A call that goes on: rung at ``legs``, picked up by ``taken``, after that rung at ``then``."""
    places = [leg(one) for one in legs if one != taken]
    places += [leg(taken, is_answered=True)] if taken else []
    places += [leg(one) for one in then]
    return call(
        disposition=Disposition.PENDING,
        ended_at=None,
        is_final=False,
        legs=tuple(places),
        is_transferred=bool(then),
        **changes,
    )


def show(
    interaction: Interaction,
    before: Popup | None = None,
    *,
    known: Snapshot = KNOWN,
    rules: Policy = RULES,
    forwarded: EmployeeId | None = None,
    now: datetime = NOW,
) -> Popup | None:
    return popup_of(establish(interaction, known, rules, now), before, client=CLIENT, forwarded=forwarded)


def said(popup: Popup | None) -> list[str]:
    """``olena ringing: rung`` for each to whom it is shown."""
    if popup is None:
        return []
    of = {one.employee: f" for {one.of}" if one.of else "" for one in popup.to}
    return [f"{one.employee} {one.state.value}: {one.why}{of[one.employee]}" for one in popup.to]


RINGING = [
    ("the telephony tells whom it rings", pending(COLLEAGUE), KNOWN, RULES, SENIOR, ["ivan ringing: rung"]),
    (
        "a group is rung at once",
        pending(COLLEAGUE, SENIOR),
        KNOWN,
        RULES,
        None,
        ["ivan ringing: rung", "serhii ringing: rung"],
    ),
    (
        "it rings where nobody is known: our answer",
        pending(STRANGER),
        KNOWN,
        RULES,
        SENIOR,
        ["serhii ringing: forwarded"],
    ),
    ("our forwarding answer", pending(), KNOWN, RULES, COLLEAGUE, ["ivan ringing: forwarded"]),
    (
        "the open deal's responsible",
        pending(),
        client(COLLEAGUE, deal=OWNER),
        RULES,
        None,
        ["olena ringing: responsible"],
    ),
    ("else the contact's", pending(), client(COLLEAGUE), RULES, None, ["ivan ringing: responsible"]),
    ("who stands in for them", pending(), KNOWN, AWAY, None, ["ivan ringing: stands_in for olena"]),
    ("the senior, if nobody stands in", pending(), KNOWN, GONE, None, ["serhii ringing: senior"]),
    (
        "a new client: all who receive new clients, the head does not",
        pending(),
        NEW_CLIENT,
        RULES,
        None,
        ["olena ringing: receives_new", "ivan ringing: receives_new", "serhii ringing: receives_new"],
    ),
    (
        "who is away receives nobody",
        pending(),
        NEW_CLIENT,
        AWAY,
        None,
        ["ivan ringing: receives_new", "serhii ringing: receives_new"],
    ),
    (
        "nor whom the CRM does not know",
        pending(),
        replace(NEW_CLIENT, inactive=frozenset({COLLEAGUE})),
        RULES,
        None,
        ["olena ringing: receives_new", "serhii ringing: receives_new"],
    ),
    ("colleagues among themselves", pending(client=Identity(phones=(Phone("+380672222222"),))), KNOWN, RULES, None, []),
    ("a private line (R8)", pending(client=Identity(phones=(Phone("+380509999999"),))), KNOWN, RULES, None, []),
    ("a call that the vendor's log told of (X7)", pending(COLLEAGUE, is_recovered=True), KNOWN, RULES, None, []),
    (
        "an employee calls out",
        pending(OWNER, direction=Direction.OUTBOUND),
        KNOWN,
        RULES,
        None,
        ["olena ringing: calls"],
    ),
]


@pytest.mark.parametrize(
    ("what", "ringing", "known", "rules", "forwarded", "wanted"), RINGING, ids=[r[0] for r in RINGING]
)
def test_who_sees_a_call_that_rings(
    what: str,
    ringing: Call,
    known: Snapshot,
    rules: Policy,
    forwarded: EmployeeId | None,
    wanted: list[str],
) -> None:
    """DESIGN 8's order, one step at a time."""
    assert said(show(ringing, known=known, rules=rules, forwarded=forwarded)) == wanted


#: what is told of one call of Olena's client, step by step, and how the popup stands after each
LIVES = [
    (
        "answered by whom it rings",
        [
            (pending(), ["olena ringing: responsible"]),
            (pending(OWNER), ["olena ringing: rung"]),
            (pending(OWNER, taken=OWNER), ["olena talking: rung"]),
            (answered(OWNER), ["olena ended: rung"]),
        ],
    ),
    (
        "it rings at a colleague's instead: the popup leaves the responsible",
        [
            (pending(), ["olena ringing: responsible"]),
            (pending(COLLEAGUE), ["ivan ringing: rung"]),
            (pending(COLLEAGUE, taken=COLLEAGUE), ["ivan talking: rung"]),
        ],
    ),
    (
        "another one of the group answers: the others are told",
        [
            (pending(OWNER, COLLEAGUE), ["olena ringing: rung", "ivan ringing: rung"]),
            (pending(OWNER, COLLEAGUE, taken=COLLEAGUE), ["olena answered: rung", "ivan talking: rung"]),
            (answered(COLLEAGUE, rung=(OWNER,)), ["olena answered: rung", "ivan ended: rung"]),
        ],
    ),
    (
        "somebody answers for whom it never rang",
        [
            (pending(), ["olena ringing: responsible"]),
            (pending(taken=SENIOR), ["olena answered: responsible", "serhii talking: rung"]),
        ],
    ),
    (
        "somebody unknown answers",
        [
            (pending(OWNER), ["olena ringing: rung"]),
            (pending(OWNER, taken=STRANGER), ["olena answered: rung"]),
        ],
    ),
    (
        "handed over: it rings at the next while the first still talks",
        [
            (pending(OWNER, taken=OWNER), ["olena talking: rung"]),
            (pending(OWNER, taken=OWNER, then=(SENIOR,)), ["olena talking: rung", "serhii ringing: rung"]),
        ],
    ),
    (
        "nobody answers: the rung one and the responsible (A12)",
        [
            (pending(COLLEAGUE), ["ivan ringing: rung"]),
            (missed(rung=(COLLEAGUE,)), ["ivan missed: rung", "olena missed: responsible"]),
        ],
    ),
    (
        "a voice message is a missed call too (A12)",
        [
            (pending(COLLEAGUE), ["ivan ringing: rung"]),
            (voicemail(), ["ivan missed: rung", "olena missed: responsible"]),
        ],
    ),
    (
        "leg 1 no answer, leg 2 answered (DESIGN 2.3)",
        [
            (missed(rung=(COLLEAGUE,)), ["ivan missed: rung", "olena missed: responsible"]),
            (
                answered(SENIOR, rung=(COLLEAGUE,)),
                ["ivan answered: rung", "olena answered: responsible", "serhii ended: rung"],
            ),
        ],
    ),
    ("told of only afterwards, missed", [(missed(), ["olena missed: responsible"])]),
    ("told of only afterwards, answered: the card has it", [(answered(OWNER), [])]),
    (
        "an outgoing call",
        [
            (pending(OWNER, direction=Direction.OUTBOUND), ["olena ringing: calls"]),
            (outgoing(OWNER), ["olena ended: calls"]),
        ],
    ),
]


@pytest.mark.parametrize(("what", "life"), LIVES, ids=[one[0] for one in LIVES])
def test_popup_moves_with_the_call(what: str, life: list[tuple[Call, list[str]]]) -> None:
    """One popup, replaced as it moves; told again, nothing changes."""
    popup: Popup | None = None
    for step, wanted in life:
        popup = show(step, popup)
        assert said(popup) == wanted
        assert show(step, popup, now=NOW + timedelta(seconds=5)) == popup or popup is None or popup.is_over


def test_talk_is_timed_from_the_answer_and_keeps_its_beginning() -> None:
    """The widget counts seconds from ``answered_at``; what is told later does not move it."""
    first = show(pending(OWNER, taken=OWNER))
    later = show(pending(OWNER, taken=OWNER, line=Phone("+380440000000")), first, now=NOW + timedelta(seconds=30))
    assert (later and later.answered_at, later and later.answered_by) == (NOW, OWNER)
    ended = show(answered(OWNER), later, now=NOW + timedelta(seconds=60))
    assert (ended and ended.answered_at, ended and ended.seconds, ended and ended.result) == (NOW, 60, "answered")


def test_popup_goes_away_when_the_call_turns_out_to_be_private() -> None:
    """R8: what only later shows that it is nobody's business is taken back."""
    shown = show(pending(OWNER))
    turned = show(pending(OWNER, client=Identity(phones=(Phone("+380509999999"),))), shown)
    assert turned is not None
    assert turned.to == ()


def test_missed_call_is_told_to_the_head_in_the_same_popup() -> None:
    """A12: the policy's notice adds whom the call never rang, and doubles nobody."""
    lost = missed(rung=(COLLEAGUE,))
    shown = show(lost)
    key = popup_key(lost, CLIENT)
    noticed = told(shown, lost, key=key, employees=(HEAD, OWNER), why="told", text="missed", at=NOW)
    assert said(noticed) == ["ivan missed: rung", "olena missed: responsible", "andrii missed: told"]
    assert (noticed.key, noticed.text) == (key, "missed")
    alone = told(None, lost, key=key, employees=(HEAD,), why="told", text="missed", at=NOW)
    assert (alone.kind, said(alone), alone.result) == ("call", ["andrii missed: told"], "missed")


def test_new_record_pops_up_with_its_responsible_also_when_nothing_rings() -> None:
    """C7: a popup of its own; the policy's text about it joins it."""
    enquiry = form()
    key = record_key(enquiry.id)
    made = told(None, enquiry, key=key, employees=(OWNER,), why="made", text="", at=NOW)
    assert (made.kind, said(made)) == ("record", ["olena new: made"])
    more = told(made, enquiry, key=key, employees=(OWNER, HEAD), why="told", text="order 7, +380501112233", at=NOW)
    assert said(more) == ["olena new: made", "andrii new: told"]
    assert more.text == "order 7, +380501112233"


# --- chats and messages -----------------------------------------------------------------------------------------


def chat(*lines: str, by: str = "", is_final: bool = False) -> Chat:
    return Chat(
        id=InteractionId("chat-1"),
        project=ProjectId("project"),
        channel="jivo",
        source="jivo",
        external_id="1",
        started_at=NOW,
        ended_at=NOW if is_final else None,
        client=Identity(phones=(PHONE,), name="Petro"),
        messages=tuple(ChatMessage(at=NOW, is_from_client=True, text=line) for line in lines),
        legs=(leg(by, is_answered=True),) if by else (),
        is_final=is_final,
    )


def message(text: str, id: str = "m1", *, by: str = "", is_automatic: bool = False, after: int = 0) -> Message:
    return Message(
        id=InteractionId(id),
        project=ProjectId("project"),
        channel="wazzup",
        source="wazzup",
        external_id=id,
        started_at=NOW + timedelta(seconds=after),
        direction=Direction.OUTBOUND if by or is_automatic else Direction.INBOUND,
        client=Identity(phones=(PHONE,)),
        text=text,
        author=Destination(login=f"examplecom_{by}") if by in (OWNER, COLLEAGUE) else Destination(login=by),
        is_automatic=is_automatic,
    )


def test_chat_pops_up_with_the_responsible_and_ends_with_whoever_took_it() -> None:
    waits = show(chat("Hello", "anybody?"))
    assert said(waits) == ["olena new: responsible"]
    assert waits is not None
    assert waits.text == "anybody?"
    taken = show(chat("Hello", by=COLLEAGUE), waits)
    assert said(taken) == ["olena answered: responsible", "ivan talking: answered"]
    assert said(show(chat("Hello", by=COLLEAGUE, is_final=True), taken)) == [
        "olena answered: responsible",
        "ivan ended: answered",
    ]
    assert said(show(chat("Hello", is_final=True), waits)) == ["olena missed: responsible"]


CHATS_WITHOUT_POPUP = [
    ("nobody has written yet", chat()),
    ("told of when it was over", chat("Hello", by=OWNER, is_final=True)),
]


@pytest.mark.parametrize(("what", "quiet"), CHATS_WITHOUT_POPUP, ids=[one[0] for one in CHATS_WITHOUT_POPUP])
def test_chat_that_waits_for_nobody_does_not_pop_up(what: str, quiet: Chat) -> None:
    assert show(quiet) is None


def test_new_clients_message_is_told_to_all_who_receive_and_leaves_them_when_somebody_gets_it() -> None:
    """W2, J3: until the decision gives it to somebody; W4: then it is no business of the others."""
    first = show(message("Price?"), known=NEW_CLIENT)
    assert said(first) == ["olena new: receives_new", "ivan new: receives_new", "serhii new: receives_new"]
    assert first is not None
    given = assigned(first, COLLEAGUE)
    assert said(given) == ["ivan new: responsible"]
    assert assigned(given, OWNER) == given, "whose it is already, stays theirs"
    assert assigned(first, None) == first, "W2: nobody's until somebody answers"


def test_messages_of_one_conversation_are_one_popup_that_an_answer_ends() -> None:
    first, second = message("Price?"), message("And delivery?", "m2")
    assert popup_key(first, CLIENT) == popup_key(second, CLIENT)
    popup = show(second, show(first))
    assert popup is not None
    assert (popup.text, popup.interaction, said(popup)) == ("And delivery?", "m2", ["olena new: responsible"])
    assert show(message("We are closed", "m3", is_automatic=True), popup) == popup, "a robot answers nobody (W6)"
    colleague = show(message("12 a kilo", "m4", by=COLLEAGUE), popup)
    assert said(colleague) == ["olena answered: responsible"]
    assert said(show(message("12 a kilo", "m4", by=OWNER), popup)) == [], "whoever wrote has dealt with it"
    assert said(show(message("12 a kilo", "m4", by="+380671234567"), popup)) == [], "from the telephone: by somebody"
    assert show(message("12 a kilo", "m4", by=OWNER)) is None, "an answer alone is no news"


def test_message_that_is_told_late_takes_the_place_of_no_later_one() -> None:
    """A9, W12: webhooks come in any order; the popup shows the newest, an answer ends what it answers."""
    first, second = message("Price?", "m1"), message("And delivery?", "m2", after=5)
    popup = show(second)
    assert show(first, popup) == popup
    assert show(message("12 a kilo", "m3", by=COLLEAGUE, after=3), popup) == popup, "said before the last question"
    answered = show(message("Tomorrow", "m4", by=COLLEAGUE, after=9), popup)
    assert said(answered) == ["olena answered: responsible"]
    assert show(message("Hello?", "m5", after=7), answered) == answered, "written before the answer"
    again = show(message("Thanks, and when?", "m6", after=12), answered)
    assert said(again) == ["olena new: responsible"]


def test_only_who_may_read_a_conversation_is_told_of_it() -> None:
    """W4: while the responsible is away whoever stands in is told; where nobody does, nobody else may read it."""
    assert said(show(message("Hello"), rules=AWAY)) == ["ivan new: stands_in for olena"]
    assert said(show(message("Hello"), rules=GONE)) == ["olena new: responsible"]


def test_form_pops_up_once() -> None:
    """J8: with what was written in it."""
    sent = form(text="Call me")
    popup = show(sent)
    assert popup is not None
    assert (popup.kind, popup.text, said(popup)) == ("form", "Call me", ["olena new: responsible"])
    assert show(sent, popup) == popup


def test_long_message_is_shown_by_its_beginning() -> None:
    """Bad input: 10,000 characters."""
    popup = show(message("а" * 10_000))
    assert popup is not None
    assert len(popup.text) == LONGEST_TEXT + 1
