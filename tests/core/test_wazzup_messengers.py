"""Messengers (SPEC part W but W10, source 004), in the document's order, each requirement with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from hub.core.escalation import escalate
from hub.core.interaction import Identity, Interaction, InteractionId
from hub.core.messenger import channel_to_write_on, expanded, is_safe_target, may_be_asked, short_links
from hub.core.phone import Phone
from hub.core.plan import CompleteTask, CreateDeal, CreateTask, Notify, UpdateDeal
from hub.core.policy import Policy, policy_schema
from hub.core.records import Contact, EmployeeId
from hub.core.right import Right, Whose, may
from hub.core.rota import Rota
from hub.core.snapshot import Snapshot
from hub.core.unanswered import dismiss, remind
from hub.core.waiting import answers, asks
from hub.testing.builders import (
    CLIENT,
    COLLEAGUE,
    HEAD,
    NEW_CLIENT,
    NOW,
    OWNER,
    SENIOR,
    TEAM,
    MemoryCrm,
    answered,
    client,
    missed,
    open_task,
    outgoing,
    outline,
    plan,
    policy,
)
from hub.testing.messages import message, reply, unclaimed

QUALITY = EmployeeId("hanna")
EVERYBODY = f'{TEAM}\n[[employees]]\nid = "hanna"\nlogins = ["hanna"]\nroles = ["quality"]\n'


def messengers(more: str = "", *, team: str = EVERYBODY, replacing: list[tuple[str, str]] | None = None) -> Policy:
    return policy("wazzup-messengers", more, team=team, replacing=replacing or [])


def with_setting(employee: str, setting: str) -> str:
    return EVERYBODY.replace(f'id = "{employee}"\n', f'id = "{employee}"\n{setting}\n')


IN_TURN = messengers()
UNSORTED = messengers("[channels.whatsapp]\nunsorted = true\n")
NOTIFIES = messengers('[channels.whatsapp]\nrepeat = "notify"\n')
KEEPS = messengers("[channels.whatsapp]\nkeep_responsible = true\n")
UNSORTED_KEEPS = messengers("[channels.whatsapp]\nunsorted = true\nkeep_responsible = true\n")
WITH_DEAL = client(deal=OWNER)
CONTACT_ONLY = client()
ALL_CLOSED = client(SENIOR, closed_deal=SENIOR)
WAITING = unclaimed(client(HEAD, deal=HEAD))
TAKEN = client(COLLEAGUE, deal=COLLEAGUE)
ALL_WHO_RECEIVE = "tell olena, ivan, serhii"
IN_TURN_NEW = ["contact for olena", "deal for olena", "note on new deal", "tell olena"]


@dataclass(frozen=True)
class Case:
    no: str
    interaction: Interaction
    known: Snapshot
    rules: Policy
    plan: list[str]


MESSENGERS = [
    Case("W1 a new client: contact and deal", message(), NEW_CLIENT, IN_TURN, IN_TURN_NEW),
    Case("W1 neighbour: an open deal takes the message", message(), WITH_DEAL, IN_TURN, ["tell olena"]),
    Case("W2 unsorted: everybody who receives is told", message(), NEW_CLIENT, UNSORTED, [
        "contact for nobody", "unsorted deal for nobody", ALL_WHO_RECEIVE]),
    Case("W2 neighbour: nobody has answered, the client writes again", message(), WAITING, UNSORTED, [ALL_WHO_RECEIVE]),
    Case("W2 the first to answer becomes the responsible", reply(COLLEAGUE), WAITING, UNSORTED, [
        "contact changes to ivan", "deal is claimed by ivan"]),
    Case("W2 neighbour: a robot's message claims nobody", reply(""), WAITING, UNSORTED, ["nothing: nothing_to_do"]),
    Case("W2 neighbour: a call is an answer too", answered(COLLEAGUE), WAITING, UNSORTED, ["nothing: no_row_fits"]),
    Case("W3 in turn: only the chosen one is told", message(), NEW_CLIENT, IN_TURN, IN_TURN_NEW),
    Case("W4 a manager writes to a client of another", reply(COLLEAGUE), WITH_DEAL, IN_TURN, ["tell ivan"]),
    Case("W4 quality control writes nothing", reply(QUALITY), WITH_DEAL, IN_TURN, ["tell hanna"]),
    Case("W4 quality control claims nobody", reply(QUALITY), WAITING, UNSORTED, ["tell hanna"]),
    Case("W4 the head writes to all", reply(HEAD), WITH_DEAL, IN_TURN, ["nothing: nothing_to_do"]),
    Case("W4 an own client", reply(OWNER), WITH_DEAL, IN_TURN, ["nothing: nothing_to_do"]),
    Case("W5 a: the responsible is told and decides", message(), ALL_CLOSED, NOTIFIES, ["tell serhii"]),
    Case("W5 a: a contact that never had a deal", message(), CONTACT_ONLY, NOTIFIES, ["tell olena"]),
    Case("W5 b: a new deal as if a new client, W3", message(), ALL_CLOSED, IN_TURN, [
        "contact changes to olena", "deal for olena", "note on new deal", "tell olena"]),
    Case("W5 b: a contact that never had a deal", message(), client(COLLEAGUE), IN_TURN, [
        "contact changes to olena", "deal for olena", "note on new deal", "tell olena"]),
    Case("W5 b: as if a new client, W2", message(), ALL_CLOSED, UNSORTED, [
        "unsorted deal for nobody", ALL_WHO_RECEIVE]),
    Case("W5 b keep_responsible", message(), ALL_CLOSED, KEEPS, [
        "deal for serhii", "note on new deal", "tell serhii"]),
    Case("W5 b keep_responsible, unsorted: nothing to sort", message(), ALL_CLOSED, UNSORTED_KEEPS, [
        "deal for serhii", "note on new deal", "tell serhii"]),
    Case("W5 neighbour: a new client is none who comes back", message(), NEW_CLIENT, NOTIFIES, IN_TURN_NEW),
    Case("W6 the reply closes the task", reply(), client(deal=OWNER, tasks=[
        open_task(OWNER, "Ответить клиенту: Petro", due_at=NOW)]), IN_TURN, ["task-olena is done"]),
    Case("W6 neighbour: a robot's message does not", reply(""), client(deal=OWNER, tasks=[
        open_task(OWNER, "Ответить клиенту: Petro", due_at=NOW)]), IN_TURN, ["nothing: nothing_to_do"]),
    Case("W9 an employee writes to a stranger first", reply(), NEW_CLIENT, IN_TURN, ["contact for olena"]),
    Case("W9 neighbour: a robot does", reply(""), NEW_CLIENT, IN_TURN, [
        "nothing: automatic message to an unknown number"]),
    Case("W11 another channel goes in turn", message(channel="telegram"), NEW_CLIENT, UNSORTED, IN_TURN_NEW),
    Case("W12 a second answer at the same time: one won, the other is told", reply(OWNER), TAKEN, UNSORTED, [
        "tell olena"]),
]  # fmt: skip


@pytest.mark.parametrize("case", MESSENGERS, ids=lambda case: case.no)
def test_wazzup_messengers(case: Case) -> None:
    assert outline(plan(case.interaction, case.known, case.rules)) == case.plan


# --- W1, W11: per channel ---------------------------------------------------------------------------------------

TWO_NUMBERS = """
[channels.sales]
account = "account-1"
pipeline = "Sales"
stage = "First contact"
[channels.service]
account = "account-2"
pipeline = "Service"
unsorted = true
repeat = "notify"
"""


@pytest.mark.parametrize(
    ("account", "deal"),
    [("account-1", ("Sales", "First contact", False)), ("account-2", ("Service", "", True)), ("", ("", "", False))],
    ids=["one number", "another number of the same hook", "a number that the policy does not name"],
)
def test_w1_each_number_has_its_pipeline_and_stage(account: str, deal: tuple[str, str, bool]) -> None:
    """W1, W11: also where one hook of the vendor serves several numbers."""
    made = plan(message(account=account), NEW_CLIENT, messengers(TWO_NUMBERS))
    found = next(action for action in made.actions if isinstance(action, CreateDeal))
    assert (found.pipeline, found.stage, found.is_unsorted) == deal


def test_w11_what_becomes_of_who_comes_back_is_set_per_channel() -> None:
    """W5, W11."""
    rules = messengers(TWO_NUMBERS)
    assert outline(plan(message(account="account-2"), ALL_CLOSED, rules)) == ["tell serhii"]
    assert outline(plan(message(account="account-1"), ALL_CLOSED, rules))[1] == "deal for olena"


STAFF = """
[channels.whatsapp.staff.olena]
receives_new = false
[channels.whatsapp.staff.ivan]
role = "quality"
receives_new = true
[channels.whatsapp.staff.andrii]
role = "manager"
receives_new = true
"""


def test_w11_roles_and_the_switch_are_set_per_employee_and_channel() -> None:
    """W4, W11; the switch has no effect for quality control (W2)."""
    rules = messengers(f"{STAFF}[channels.telegram]\nunsorted = true\n[channels.whatsapp]\nunsorted = true\n")
    told = {
        channel: outline(plan(message(channel=channel), NEW_CLIENT, rules))[-1] for channel in ("whatsapp", "telegram")
    }
    assert told == {"whatsapp": "tell serhii, andrii", "telegram": ALL_WHO_RECEIVE}
    mine = Whose(channel="whatsapp", responsible=OWNER)
    assert not may(HEAD, "write", mine, rules, NOW)
    assert may(HEAD, "write", replace(mine, channel="telegram"), rules, NOW)


# --- W2, W12: unsorted ------------------------------------------------------------------------------------------


def test_w12_two_answers_at_once_one_wins_and_the_other_is_told_who_did() -> None:
    """W12: in the client's order; the second sees what the first did."""
    crm = MemoryCrm(rules=UNSORTED, known=WAITING)
    crm.take(reply(OWNER))
    crm.known = replace(crm.known, deals=tuple(replace(deal, stage_id="11") for deal in crm.known.deals))
    second = crm.take(reply(COLLEAGUE, id=InteractionId("reply-2")))
    assert [deal.responsible for deal in crm.known.deals] == [OWNER]
    told = next(action for action in second.actions if isinstance(action, Notify))
    assert (told.employees, told.text) == ((COLLEAGUE,), "Клиента Petro +380501112233 ведёт Olena Koval")


def test_w2_the_claimed_deal_leaves_the_inbox_into_the_channels_stage() -> None:
    rules = messengers('[channels.whatsapp]\nunsorted = true\npipeline = "Sales"\nstage = "New"\n')
    claim = next(a for a in plan(reply(COLLEAGUE), WAITING, rules).actions if isinstance(a, UpdateDeal))
    assert (claim.accepts, claim.responsible, claim.pipeline, claim.stage) == (True, COLLEAGUE, "Sales", "New")


def test_w2_where_the_crm_has_no_such_inbox_the_hub_remembers_whose_client_it_is_not() -> None:
    made = client(HEAD, deal=HEAD)
    ours = replace(made, history=replace(made.history, unclaimed=frozenset({"deal-1"})))
    assert outline(plan(reply(COLLEAGUE), ours, UNSORTED))[-1] == "deal is claimed by ivan"
    assert outline(plan(reply(COLLEAGUE), made, UNSORTED)) == ["tell ivan"]


def test_w2_who_is_away_or_gone_is_not_told() -> None:
    away = "absences = [{ since = 2026-03-01, until = 2026-03-05 }]"
    rules = messengers("[channels.whatsapp]\nunsorted = true\n", team=with_setting("olena", away))
    known = replace(NEW_CLIENT, inactive=frozenset({SENIOR}))
    assert outline(plan(message(), known, rules))[-1] == "tell ivan"


# --- W3: in turn ------------------------------------------------------------------------------------------------


def test_w3_new_clients_are_shared_out_evenly() -> None:
    """W3: three who receive, nine clients, three each; the head and quality control none."""
    rota, taken = Rota(), []
    for _ in range(9):
        made = plan(message(), NEW_CLIENT, IN_TURN, rota=rota)
        rota = Rota(turns=made.turns)
        taken.append(made.responsible)
    assert {who: taken.count(who) for who in set(taken)} == {OWNER: 3, COLLEAGUE: 3, SENIOR: 3}


def test_w3_who_does_not_receive_new_clients_has_no_turn() -> None:
    rules = messengers(team=with_setting("olena", "receives_new = false"))
    assert outline(plan(message(), NEW_CLIENT, rules))[-1] == "tell ivan"


# --- W4: rights -------------------------------------------------------------------------------------------------

MINE, THEIRS, NOBODYS = Whose(responsible=OWNER), Whose(responsible=COLLEAGUE), Whose()
OPEN_TO_ALL = Whose(is_unclaimed=True)
STRANGERS = Whose(is_new=True)
RIGHTS: list[tuple[str, EmployeeId, Whose, set[Right]]] = [
    ("a manager, own client", OWNER, MINE, {"read", "write", "take"}),
    ("a manager, another's", OWNER, THEIRS, set()),
    ("a manager, nobody's", OWNER, NOBODYS, set()),
    ("a manager, not answered yet (W12)", OWNER, OPEN_TO_ALL, {"read", "write", "take"}),
    ("quality control sees all, writes nothing", QUALITY, MINE, {"read"}),
    ("quality control, not answered yet", QUALITY, OPEN_TO_ALL, {"read"}),
    ("the head sees all and writes to all", HEAD, THEIRS, {"read", "write", "take"}),
    ("the head, not answered yet", HEAD, OPEN_TO_ALL, {"read", "write", "take"}),
    ("a manager begins with a stranger (W9)", OWNER, STRANGERS, {"read", "write", "take"}),
    ("quality control begins nothing", QUALITY, STRANGERS, {"read"}),
    ("the senior has what is nobody's", SENIOR, NOBODYS, {"read", "write", "take"}),
    ("the senior, another's", SENIOR, THEIRS, set()),
    ("somebody whom the policy does not know", EmployeeId("stranger"), OPEN_TO_ALL, set()),
]


@pytest.mark.parametrize(("who", "employee", "whose", "rights"), RIGHTS, ids=[row[0] for row in RIGHTS])
def test_w4_rights_by_role(who: str, employee: EmployeeId, whose: Whose, rights: set[Right]) -> None:
    every: tuple[Right, ...] = ("read", "write", "take")
    assert {right for right in every if may(employee, right, whose, UNSORTED, NOW)} == rights


def test_w4_a_deputy_has_the_owners_rights_while_the_owner_is_away() -> None:
    """X11: and no longer."""
    away = 'absences = [{ since = 2026-03-01, until = 2026-03-05, deputy = "ivan" }]'
    rules = messengers(team=with_setting("olena", away))
    assert may(COLLEAGUE, "write", MINE, rules, NOW)
    assert may(OWNER, "write", MINE, rules, NOW)
    assert not may(COLLEAGUE, "write", MINE, rules, NOW + timedelta(days=5))
    assert outline(plan(message(), WITH_DEAL, rules)) == ["tell ivan"]


# --- W6: unanswered ---------------------------------------------------------------------------------------------

FIRST, SECOND = message(), message(id=InteractionId("message-2"), at=timedelta(minutes=3))
LATER = NOW + timedelta(minutes=10)


def test_w6_an_unanswered_message_is_looked_at_after_the_delay_in_working_time() -> None:
    assert plan(message(), WITH_DEAL, IN_TURN).due == {f"{CLIENT}/unanswered/message-1": LATER}
    assert plan(reply(), WITH_DEAL, IN_TURN).due == {}
    weekdays = messengers(
        '[schedules.office]\nhours = { mon-fri = ["09:00-18:00"] }\n',
        replacing=[('time_zone = "Europe/Moscow"', 'time_zone = "Europe/Moscow"\nschedule = "office"')],
    )
    saturday = message(at=timedelta(days=5))
    monday = NOW.replace(day=9, hour=6, minute=10)
    assert list(plan(saturday, WITH_DEAL, weekdays, now=saturday.moment).due.values()) == [monday]


def test_w6_the_switch_is_off_where_no_task_is_named() -> None:
    off = messengers(replacing=[('task = "answer" ', 'task = "" ')])
    assert plan(message(), WITH_DEAL, off).due == {}


@pytest.mark.parametrize(
    ("known", "made"),
    [
        (WITH_DEAL, ["task answer for olena on deal in 0.4167 h"]),
        (client(COLLEAGUE), ["task answer for ivan on contact in 0.4167 h"]),
        (client(""), ["task answer for serhii on contact in 0.4167 h"]),
        (client(deal=OWNER, tasks=[open_task(OWNER, "Ответить клиенту")]), ["nothing: task_is_open"]),
        (client(deal=OWNER, tasks=[open_task(SENIOR, "Ответить клиенту")]), ["nothing: task_is_open"]),
        (client(deal=OWNER, tasks=[open_task(OWNER, "Отправить счёт")]), ["task answer for olena on deal in 0.4167 h"]),
    ],
    ids=["the deal's", "the contact's", "else the senior", "one is open", "one was moved away", "another task"],
)
def test_w6_the_task_is_made_once_on_the_responsible(known: Snapshot, made: list[str]) -> None:
    found = remind(FIRST, known, IN_TURN, LATER, client_id=CLIENT)
    assert found is not None
    assert outline(found) == made


def test_w6_in_unsorted_the_task_is_made_when_the_chat_gets_an_owner() -> None:
    assert remind(FIRST, WAITING, UNSORTED, LATER, client_id=CLIENT) is None
    accepted = replace(WAITING, deals=tuple(replace(deal, stage_id="11") for deal in WAITING.deals))
    found = remind(FIRST, accepted, UNSORTED, LATER, client_id=CLIENT)
    assert found is not None
    assert outline(found) == ["task answer for andrii on deal in 0.4167 h"]


def test_w6_the_task_is_reminded_and_moved_the_same_one_all_the_way() -> None:
    """X10."""
    found = remind(FIRST, WITH_DEAL, IN_TURN, LATER, client_id=CLIENT)
    assert found is not None
    crm = MemoryCrm(rules=IN_TURN, known=WITH_DEAL)
    for action in found.actions:
        crm.apply(action, FIRST)
    (key,) = found.due
    seen, now = crm.seen_by(InteractionId("other")), LATER + timedelta(minutes=30)
    assert outline(escalate(key, seen, IN_TURN, now, client_id=CLIENT)) == ["tell olena"]
    further = escalate(key.replace("/overdue/0", "/overdue/1"), seen, IN_TURN, now, client_id=CLIENT)
    assert [line.split()[-2:] for line in outline(further)] == [["to", "serhii"], ["tell", "andrii"]]


def test_w6_no_reply_needed_closes_what_messages_made_and_nothing_else() -> None:
    tasks = [open_task(OWNER, "Ответить клиенту"), open_task(SENIOR, "Отправить счёт")]
    known = client(deal=OWNER, tasks=tasks)
    assert outline(dismiss(FIRST.id, known, IN_TURN)) == ["task-olena is done"]
    assert outline(dismiss(FIRST.id, WITH_DEAL, IN_TURN)) == ["nothing: no_reply_needed"]


CALLS_TOO = """
[[matrix]]
name = "missed"
when = { kind = "call", is_missed = true }
tasks = [{ task = "call_back", assignees = ["responsible"] }]
[[matrix]]
name = "call"
when = { kind = "call" }
[tasks.call_back]
text = "call back"
until_reached = true
"""


@pytest.mark.parametrize(
    ("asking", "reaching"),
    [
        (message(), outgoing(id=InteractionId("call-2"))),
        (message(), reply(COLLEAGUE)),
        (missed(), reply(HEAD)),
        (missed(), answered(id=InteractionId("call-2"))),
    ],
    ids=["a call after a message", "a reply", "a message after a missed call", "a call after a missed call"],
)
def test_x10_whatever_channel_reaches_the_client_the_task_is_done(asking: Interaction, reaching: Interaction) -> None:
    """X10, A5, W6."""
    rules = messengers(CALLS_TOO)
    crm = MemoryCrm(rules=rules, known=WITH_DEAL)
    made = crm.take(asking)
    if asks(asking):
        found = remind(asking, crm.seen_by(asking.id), rules, LATER, client_id=CLIENT)
        assert found is not None
        made = found
        for action in found.actions:
            crm.apply(action, asking)
    assert any(isinstance(action, CreateTask) for action in made.actions)
    done = crm.take(reaching)
    assert answers(reaching)
    assert any(isinstance(action, CompleteTask) for action in done.actions)
    assert not any(task.is_open for task in crm.known.tasks)


# --- W7 to W9: what holds for all channels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "setting", "is_seven"),
    [
        ("RU", "", True),
        ("KZ", "", True),
        ("UA", "", False),
        ("UA", "eight_is_seven = true", True),
        ("KZ", "eight_is_seven = false", False),
    ],
)
def test_w7_eight_is_read_as_seven_by_default_in_ru_and_kz(region: str, setting: str, is_seven: bool) -> None:
    rules = messengers(replacing=[('region = "RU"  ', f'{setting}\nregion = "{region}"  ')])
    assert rules.eight_is_seven is is_seven
    assert (rules.phone("89161234567") == "+79161234567") is (is_seven or region == "KZ")


def test_w7_the_help_text_says_when_to_turn_it_off() -> None:
    shown = policy_schema()["$defs"]["Project"]["properties"]["eight_is_seven"]["description"]
    assert "Asia" in shown


def test_w7_the_crms_record_is_not_rewritten() -> None:
    """W7: the client is found by the number as it is read, and nothing changes it."""
    phone = Phone("+79161234567")
    known = replace(CONTACT_ONLY, contacts=(Contact(id="contact-1", phones=(phone,), responsible=OWNER, name="Petro"),))
    assert outline(plan(message(client=Identity(phones=(phone,))), known, NOTIFIES)) == ["tell olena"]


EXPANDS = messengers(replacing=[("expand_links = false", "expand_links = true")])


def test_w8_only_the_robots_links_are_expanded_and_only_where_the_switch_is_on() -> None:
    """W8."""
    text = "Hotel: amo.sh/4823, https://amo.sh/AbC-1 and notamo.sh/1, amo.sh.evil.example/2, amo.sh/4823"
    assert short_links(text, is_automatic=True, policy=EXPANDS) == ("amo.sh/4823", "https://amo.sh/AbC-1")
    assert short_links(text, is_automatic=False, policy=EXPANDS) == ()
    assert short_links(text, is_automatic=True, policy=IN_TURN) == ()


def test_w8_a_link_without_a_target_stays() -> None:
    text = "Hotel: amo.sh/4823 and amo.sh/5."
    assert expanded(text, {"amo.sh/4823": "https://kruglosutka.ru/"}) == "Hotel: https://kruglosutka.ru/ and amo.sh/5."


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)", "file:///etc/passwd", "http://127.0.0.1/", "http://10.0.0.8/x", "http://[::1]/",
        "http://localhost/", "http://user:secret@example.com/", "http://example.com:8080/", "https://a.example/ b", "",
        "http://169.254.169.254/latest", "http://2130706433/", "http://[::ffff:10.0.0.1]/", "http://[broken",
    ],
)  # fmt: skip
def test_w8_a_target_that_is_no_public_page_is_not_shown(target: str) -> None:
    assert expanded("amo.sh/1", {"amo.sh/1": target}) == "amo.sh/1"


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ("amo.sh/4823", "https://amo.sh/4823"),
        ("HTTP://AMO.SH/4823", "https://amo.sh/4823"),
        ("https://amo.sh@evil.example/4823", ""),
        ("https://evil.example/amo.sh/1", ""),
        ("amo.sh:8080/1", ""),
    ],
)
def test_w8_nothing_but_the_shortener_is_asked(link: str, asked: str) -> None:
    assert may_be_asked(link) == asked


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [("8.8.8.8", True), ("2a00:1450::1", True), ("192.168.1.1", False), ("fd00::1", False), ("224.0.0.1", False),
     ("::ffff:192.168.1.1", False), ("amo.sh", False)],
)  # fmt: skip
def test_w8_private_networks_are_never_asked(address: str, is_safe: bool) -> None:
    assert is_safe_target(address) is is_safe


def test_w8_the_setting_warns() -> None:
    shown = policy_schema()["$defs"]["Messages"]["properties"]["expand_links"]["description"]
    assert "stop working" in shown
    assert "preview" in shown


NUMBERS = (
    "[channels.whatsapp]\n[channels.second]\n[channels.second.staff.ivan]\nrole = 'quality'\n[channels.telegram]\n"
)


@pytest.mark.parametrize(
    ("setting", "clients", "usable", "channel"),
    [
        ('writes_from = "second"', "", (), "second"),
        ('writes_from = "second"', "whatsapp", (), "whatsapp"),
        ("", "", (), "whatsapp"),
        ('writes_from = "second"', "", ("telegram",), "telegram"),
        ("", "", ("unknown",), None),
    ],
    ids=["begins on the named one", "replies on the client's", "none is named", "the named one cannot", "none can"],
)
def test_w9_the_channel_on_which_an_employee_writes(
    setting: str, clients: str, usable: tuple[str, ...], channel: str | None
) -> None:
    rules = messengers(NUMBERS, team=with_setting("olena", setting))
    assert channel_to_write_on(OWNER, rules, clients=clients, usable=usable) == channel


def test_w9_not_on_a_channel_where_the_employee_may_only_look() -> None:
    """W4, W11."""
    rules = messengers(NUMBERS, team=with_setting("ivan", 'writes_from = "second"'))
    assert channel_to_write_on(COLLEAGUE, rules) == "whatsapp"
