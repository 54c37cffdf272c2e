"""The online shop's chats, forms and filters (SPEC part J but J6, source 000), each requirement with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from hub.core.further import with_further_keys
from hub.core.interaction import Attribution, Identity, Interaction
from hub.core.phone import Phone
from hub.core.plan import AddNote, CreateContact, CreateDeal, CreateTask, Notify, Plan, UpdateContact
from hub.core.policy import Policy
from hub.core.records import Catalogue, Company, Contact, CustomField, EmployeeId, RecordKind
from hub.core.rota import Rota
from hub.core.snapshot import History, Snapshot
from hub.testing.builders import (
    COLLEAGUE,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    TEAM,
    MemoryCrm,
    answered,
    client,
    form,
    internal,
    missed,
    outgoing,
    outline,
    plan,
    policy,
)
from hub.testing.chats import chat

SHOP = policy("jivo-shop")
NOTIFIES = policy("jivo-shop", replacing=[('repeat = "new_deal"           # all', 'repeat = "notify" # all')])
SHARES = policy("jivo-shop", replacing=[("keep_responsible = true       #", "keep_responsible = false #")])
WITH_DEAL = client(deal=OWNER)
CLOSED = client(closed_deal=OWNER)
KNOWN = client()
OTHER = Phone("+380671234567")
TASK = "task answer for {} on {} in 0.5 h"


@dataclass(frozen=True)
class Case:
    no: str
    interaction: Interaction
    known: Snapshot
    plan: list[str]
    rules: Policy = SHOP


JIVO_SHOP = [
    Case("J1 a new client's chat: a deal for the operator, the chat as a note", chat(), NEW_CLIENT, [
        "contact for olena", "deal for olena", "note on new deal", "tell olena"]),
    Case("J1, J3 nobody was there: shared out", chat(by=""), NEW_CLIENT, [
        "contact for olena", "deal for olena", TASK.format("olena", "new deal"), "note on new deal", "tell olena"]),
    Case("J9 an open deal: the chat goes into it", chat(by=COLLEAGUE), WITH_DEAL, [
        "contact changes", "note on deal", "tell olena"]),
    Case("J9 an open deal, nobody was there", chat(by=""), WITH_DEAL, [
        "contact changes", TASK.format("olena", "deal"), "note on deal", "tell olena"]),
    Case("J3 a returning client's responsible gets the new deal and is told", chat(by=COLLEAGUE), CLOSED, [
        "contact changes", "deal for olena", "note on new deal", "tell olena"]),
    Case("J3 a contact that never had a deal counts the same (W5)", chat(by=COLLEAGUE), KNOWN, [
        "contact changes", "deal for olena", "note on new deal", "tell olena"]),
    Case("J9, W5 a: the responsible decides", chat(by=COLLEAGUE), CLOSED, [
        "contact changes", "note on contact", "tell olena"], NOTIFIES),
    Case("J9, W5 b: as a new client", chat(by=COLLEAGUE), CLOSED, [
        "contact changes to ivan", "deal for ivan", "note on new deal", "tell ivan"], SHARES),
    Case("J8, J3 a new client's form: shared out", form(), NEW_CLIENT, [
        "contact for olena", "deal for olena", TASK.format("olena", "new deal"), "note on new deal", "tell olena"]),
    Case("J8, J3 a returning client's form: the responsible", form(), client(COLLEAGUE, closed_deal=SENIOR), [
        "deal for ivan", TASK.format("ivan", "new deal"), "note on new deal", "tell ivan"]),
    Case("J11 a form of a client with an open deal: onto that deal", form(), WITH_DEAL, [
        TASK.format("olena", "deal"), "note on deal", "tell olena"]),
    Case("J2 newsletter: contact only", form(form_name="Footer newsletter"), NEW_CLIENT, ["contact for olena"]),
    Case("J2 newsletter of a known client", form(form_name="newsletter"), WITH_DEAL, ["contact changes"]),
    Case("J5 an answered call", answered(), NEW_CLIENT, [
        "contact for olena", "deal for olena", "record of olena on new contact with recording"]),
    Case("J3 an answered call of a returning client", answered(by=COLLEAGUE), CLOSED, [
        "deal for olena", "record of ivan on contact with recording"]),
    Case("A14 an answered call with an open deal", answered(by=COLLEAGUE), WITH_DEAL, [
        "record of ivan on contact with recording"]),
    Case("J3 a missed call of a new client: shared out", missed(), NEW_CLIENT, [
        "contact for olena", "deal for olena", TASK.format("olena", "new deal"), "record of olena on new contact",
        "tell olena"]),
    Case("Z7 a missed call of a known client", missed(), WITH_DEAL, [
        TASK.format("olena", "deal"), "record of olena on contact", "tell olena"]),
    Case("Z11 outgoing", outgoing(), NEW_CLIENT, [
        "contact for olena", "record of olena on new contact with recording"]),
    Case("R6 employees among themselves", internal(), NEW_CLIENT, ["nothing: internal_call"]),
]  # fmt: skip


@pytest.mark.parametrize("case", JIVO_SHOP, ids=lambda case: case.no)
def test_jivo_shop(case: Case) -> None:
    assert outline(plan(case.interaction, case.known, case.rules)) == case.plan


def deal_of(made: Plan) -> CreateDeal:
    return next(action for action in made.actions if isinstance(action, CreateDeal))


def contact_of(made: Plan) -> CreateContact:
    return next(action for action in made.actions if isinstance(action, CreateContact))


# --- J1: the chat as it went ------------------------------------------------------------------------------------


def test_j1_the_transcript_is_a_note_with_time_and_author_of_each_line() -> None:
    note = next(action for action in plan(chat(), NEW_CLIENT, SHOP).actions if isinstance(action, AddNote))
    assert note.text.splitlines() == ["11:55 Petro: Is the lamp in stock?", "11:56 Olena Koval: Yes, two."]
    assert note.is_long


def test_j1_a_chat_without_a_line_leaves_no_empty_note() -> None:
    assert "note on new deal" not in outline(plan(chat(messages=()), NEW_CLIENT, SHOP))


def test_j9_the_clients_next_chat_goes_into_the_deal_that_the_first_one_made() -> None:
    crm = MemoryCrm(rules=SHOP)
    crm.take(chat(client=Identity(phones=(PHONE,))))
    later = chat(by=COLLEAGUE, id="chat-2", client=Identity(phones=(PHONE,)))
    assert outline(crm.take(later)) == ["note on deal", "tell olena"]
    assert len(crm.known.deals) == 1


# --- J2: filters on any parameter -------------------------------------------------------------------------------

GROUPS = """
[assignment.groups.wholesale]
members = ["ivan"]
on_shift_only = false
[[rules]]
name = "filter"
when = { %s }
group = "wholesale"
pipeline = "Wholesale"
stage = "First contact"
tags = ["wholesale", "{{ utm_campaign }}"]
fields = { "Channel" = "{{ channel }}" }
price = "{{ parameters.sum }}"
"""

FILTERS = [
    ("a utm tag", 'utm_medium = "cpc"', form(attribution=Attribution(utm_medium="CPC")), form()),
    ("the form's name", 'form_name = { starts_with = "opt" }', form(form_name="Opt order"), form()),
    ("the page", 'page = { contains = "/opt/" }', chat(page="https://x.example/opt/1", by=""), chat(by="")),
    ("the external number", 'line = "044 765-43-21"', missed(line=Phone("+380447654321")), missed()),
    ("the department", 'department = ["Opt", "B2B"]', chat(department="b2b", by=""), chat(by="")),
    ("the client's city", 'location = { city = "Odesa" }', chat(attribution=Attribution(city="Odesa"), by=""),
     chat(attribution=Attribution(city="Lviv"), by="")),
    ("the number's country", 'country = "PL"', form(client=Identity(phones=(Phone("+48512345678"),))), form()),
    ("what the site sends besides", 'parameters = { sum = { at_least = 10000 } }', form(parameters={"sum": "25000"}),
     form(parameters={"sum": "99"})),
    ("what the client wrote", 'text = { matches = "опт(ом|овая)" }', form(text="Хочу купить оптом"), form()),
    ("how much they wrote", 'messages = { less = 1 }', chat(by="", messages=()), chat(by="")),
]  # fmt: skip


@pytest.mark.parametrize(("when", "fits", "other"), [row[1:] for row in FILTERS], ids=[row[0] for row in FILTERS])
def test_j2_a_filter_on_any_parameter_sends_the_enquiry_elsewhere(
    when: str, fits: Interaction, other: Interaction
) -> None:
    rules = policy("jivo-shop", GROUPS % when)
    found, usual = deal_of(plan(fits, NEW_CLIENT, rules)), deal_of(plan(other, NEW_CLIENT, rules))
    assert (found.pipeline, found.stage, found.responsible) == ("Wholesale", "First contact", COLLEAGUE)
    assert found.tags[0] == "wholesale"
    assert found.fields["Channel"] == fits.channel
    assert (usual.pipeline, usual.responsible, usual.tags) == ("", OWNER, ())


def test_j2_open_deals_are_a_condition() -> None:
    rules = policy("jivo-shop", '[[rules]]\nname = "x"\nwhen = { open_deals = { at_least = 1 } }\nnotify = ["head"]\n')
    assert "tell andrii" in outline(plan(form(), WITH_DEAL, rules))
    assert "tell andrii" not in outline(plan(form(), CLOSED, rules))


def test_j5_a_tag_a_field_and_the_price_from_what_the_site_sends() -> None:
    """A tag that renders to nothing is left out; a sum that is no number is left empty, with a warning."""
    tagged = '[[rules]]\nname = "x"\ntags = ["form: {{ form_name }}", "{{ utm_campaign }}"]\n'
    rules = policy("jivo-shop", tagged)
    made = plan(form(parameters={"total": "1 250,50"}), NEW_CLIENT, rules)
    assert (deal_of(made).price, deal_of(made).tags) == (1250.5, ("form: test drive",))
    assert deal_of(made).fields == {"utm_source": "google"}
    assert deal_of(plan(form(), NEW_CLIENT, rules)).price is None
    odd = plan(form(parameters={"total": "a lot"}), NEW_CLIENT, rules)
    assert deal_of(odd).price is None
    assert [found.code for found in odd.explanation.warnings] == ["no_number"]


# --- J3: shared out by schedule ---------------------------------------------------------------------------------


def test_j3_new_clients_are_shared_out_among_those_on_shift() -> None:
    """A colleague of another shift is passed over, and the explanation says so (X1)."""
    evening = TEAM.replace('id = "olena"\n', 'id = "olena"\nschedule = "evening"\n')
    rules = policy("jivo-shop", '[schedules.evening]\nhours = { mon-fri = ["15:00-23:00"] }\n', team=evening)
    noon = plan(form(), NEW_CLIENT, rules)
    assert deal_of(noon).responsible == COLLEAGUE
    passed = [(found.employee, found.reason.code) for found in noon.explanation.candidates if not found.is_chosen]
    assert (OWNER, "off_shift") in passed
    late = NOW.replace(hour=16)
    assert deal_of(plan(form(started_at=late), NEW_CLIENT, rules, now=late)).responsible == OWNER


def test_j3_turns_go_round() -> None:
    turns: dict[str, object] = {}
    taken = []
    for number in range(6):
        made = plan(form(id=f"form-{number}"), NEW_CLIENT, SHOP, rota=Rota(turns=turns))  # type: ignore[arg-type]
        turns.update(made.turns)
        taken.append(deal_of(made).responsible)
    assert sorted(taken, key=str) == [COLLEAGUE, COLLEAGUE, OWNER, OWNER, SENIOR, SENIOR]


# --- J4, J7, J10: who is the same client ------------------------------------------------------------------------

CATALOGUE = Catalogue(
    fields=(
        CustomField(id="9", name="ИНН", record=RecordKind.CONTACT),
        CustomField(id="8", name="ИНН", record=RecordKind.COMPANY),
    )
)


def keys(keys: str, join: str = "any", absent: str = "no_match") -> Policy:
    return policy(
        "jivo-shop",
        replacing=[
            ('keys = ["phone", "email"] ', f"keys = {keys} "),
            ('join = "any" ', f'join = "{join}" '),
            ('absent_key = "no_match" ', f'absent_key = "{absent}" '),
        ],
    )


def card(phone: Phone | None = PHONE, email: str = "", tax: str = "", name: str = "Petro") -> Snapshot:
    contact = Contact(
        id="contact-1", name=name, phones=(phone,) if phone else (), emails=(email,) if email else (),
        fields={"9": tax} if tax else {}, responsible=COLLEAGUE,
    )  # fmt: skip
    return replace(NEW_CLIENT, contacts=(contact,), catalogue=CATALOGUE)


def enquiry(phone: Phone | None = PHONE, email: str = "", tax: str = "", name: str = "Petro") -> Interaction:
    return form(
        client=Identity(
            phones=(phone,) if phone else (), emails=(email,) if email else (), name=name,
            fields={"ИНН": tax} if tax else {},
        )
    )  # fmt: skip


PHONE_AND_MAIL, ALL_THREE = '["phone", "email"]', '["phone", "email", "field:ИНН"]'
DUPLICATES = [
    # keys, join, absent key, the card, the enquiry, is it the same client
    ("OR: the number", PHONE_AND_MAIL, "any", "no_match", card(PHONE, "a@x"), enquiry(PHONE, "b@x"), True),
    ("OR: the e-mail, in any case", PHONE_AND_MAIL, "any", "no_match", card(PHONE, "a@x"), enquiry(OTHER, "A@X"), True),
    ("OR: neither", PHONE_AND_MAIL, "any", "no_match", replace(card(), contacts=()), enquiry(OTHER, "b@x"), False),
    ("OR: the tax number", ALL_THREE, "any", "no_match", card(tax="77"), enquiry(OTHER, tax="77"), True),
    ("the e-mail is no key", '["phone"]', "any", "no_match", card(PHONE, "a@x"), enquiry(OTHER, "a@x"), False),
    ("AND: both", PHONE_AND_MAIL, "all", "no_match", card(PHONE, "a@x"), enquiry(PHONE, "a@x"), True),
    ("AND: one differs", PHONE_AND_MAIL, "all", "no_match", card(PHONE, "a@x"), enquiry(PHONE, "b@x"), False),
    ("AND: a key is absent", PHONE_AND_MAIL, "all", "no_match", card(PHONE, "a@x"), enquiry(PHONE), False),
    ("AND: absent, ignored", PHONE_AND_MAIL, "all", "ignore", card(PHONE, "a@x"), enquiry(PHONE), True),
    ("AND: absent, another differs", ALL_THREE, "all", "ignore", card(PHONE, "a@x"), enquiry(PHONE, "b@x"), False),
    ("AND: all three", ALL_THREE, "all", "no_match", card(PHONE, "a@x", "77"), enquiry(PHONE, "a@x", "77"), True),
    ("AND: another tax number", ALL_THREE, "all", "no_match", card(tax="77"), enquiry(tax="78"), False),
    ("J7 the name alone joins nobody", '["phone", "name"]', "any", "no_match", card(PHONE), enquiry(OTHER), False),
    ("J7 name and number, OR", '["phone", "name"]', "any", "no_match", card(PHONE), enquiry(PHONE), True),
    ("J7 name and number, AND", '["phone", "name"]', "all", "no_match", card(), enquiry(name="PETRO"), True),
    ("J7 AND: another name", '["phone", "name"]', "all", "no_match", card(PHONE), enquiry(PHONE, name="Pavlo"), False),
    ("J7 AND: only the name told", '["phone", "name"]', "all", "ignore", card(PHONE), enquiry(None), False),
    ("J7 the name as the only key", '["name"]', "all", "no_match", card(PHONE), enquiry(PHONE), False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "join", "absent", "known", "told", "is_same"),
    [row[1:] for row in DUPLICATES],
    ids=[row[0] for row in DUPLICATES],
)
def test_j4_duplicates_by_up_to_three_keys_and_the_name(
    wanted: str, join: str, absent: str, known: Snapshot, told: Interaction, is_same: bool
) -> None:
    made = plan(told, known, keys(wanted, join, absent))
    assert any(isinstance(action, CreateContact) for action in made.actions) is not is_same
    assert deal_of(made).responsible == (COLLEAGUE if is_same else OWNER)


def test_j7_a_namesake_is_shown_to_people_and_to_rules() -> None:
    """A match by name alone never merges by itself: a rule may have somebody look."""
    rule = """
[tasks.look]
text = "Same person? {{ namesakes }}"
[[rules]]
name = "namesake"
when = { has_namesake = true }
more_tasks = [{ task = "look", assignees = ["senior"], on = "contact" }]
"""
    rules = policy("jivo-shop", rule, replacing=[('keys = ["phone", "email"] ', 'keys = ["phone", "name"] ')])
    made = plan(enquiry(OTHER), card(PHONE), rules)
    task = next(action for action in made.actions if isinstance(action, CreateTask) and action.task == "look")
    assert (task.text, task.assignee) == ("Same person? Petro (#contact-1)", SENIOR)
    assert [(found.record.id, found.reason.code) for found in made.explanation.contacts] == [
        ("contact-1", "contact_namesake")
    ]
    assert contact_of(made).phones == (OTHER,)
    off = plan(enquiry(OTHER), card(PHONE), policy("jivo-shop", rule))
    assert not any(isinstance(action, CreateTask) and action.task == "look" for action in off.actions)


WORKS = Company(id="company-1", name="Works", fields={"8": "77"}, phones=(OTHER,), responsible=EmployeeId("ivan"))
BY_TAX_NUMBER = keys(ALL_THREE)


def test_j10_a_new_person_of_a_company_found_by_its_tax_number_is_linked_to_it() -> None:
    """No second company; the new contact takes the company's responsible, and so does the deal."""
    known = replace(NEW_CLIENT, companies=(WORKS,), catalogue=CATALOGUE)
    made = plan(enquiry(PHONE, "new@x", "77"), known, BY_TAX_NUMBER)
    person = contact_of(made)
    assert (person.name, person.company, person.responsible) == ("Petro", WORKS.ref, COLLEAGUE)
    assert (person.phones, person.emails) == ((PHONE,), ("new@x",))
    assert (deal_of(made).responsible, deal_of(made).company) == (COLLEAGUE, WORKS.ref)
    assert person.reason.code == "new_person_of_company"


def test_j10_its_neighbours() -> None:
    """Found by its number too: the company itself; a person of it known by number: that person; another number: new."""
    known = replace(NEW_CLIENT, companies=(WORKS,), catalogue=CATALOGUE)
    by_phone = plan(enquiry(OTHER, tax="77"), known, BY_TAX_NUMBER)
    assert not any(isinstance(action, CreateContact) for action in by_phone.actions)
    person = Contact(id="p", name="Petro", phones=(PHONE,), company_id="company-1", responsible=OWNER)
    by_person = plan(enquiry(PHONE, tax="77"), replace(known, contacts=(person,)), BY_TAX_NUMBER)
    assert not any(isinstance(action, CreateContact) for action in by_person.actions)
    gone = replace(known, inactive=frozenset({COLLEAGUE}))
    assert contact_of(plan(enquiry(PHONE, tax="77"), gone, BY_TAX_NUMBER)).responsible == OWNER
    stranger = contact_of(plan(enquiry(PHONE, tax="78"), NEW_CLIENT, BY_TAX_NUMBER))
    assert stranger.company is None


def test_j10_a_second_person_of_the_company_is_a_contact_of_their_own() -> None:
    """The hub made the first one's contact for the same tax number; the second one's number and e-mail are others."""
    first = Contact(id="first", name="Petro", phones=(PHONE,), company_id="company-1", responsible=COLLEAGUE)
    known = replace(
        NEW_CLIENT, companies=(WORKS,), contacts=(first,), catalogue=CATALOGUE,
        history=History(own_contacts=frozenset({"first"})),
    )  # fmt: skip
    second = Phone("+380931234567")
    made = contact_of(plan(enquiry(second, tax="77", name="Iryna"), known, BY_TAX_NUMBER))
    assert (made.phones, made.company) == ((second,), WORKS.ref)
    other = contact_of(plan(enquiry(None, "third@x", "77", "Oleh"), known, BY_TAX_NUMBER))
    assert made.key != other.key
    again = plan(enquiry(PHONE, tax="77"), known, BY_TAX_NUMBER)
    assert not any(isinstance(action, CreateContact) for action in again.actions)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [({"ИНН": " 77 "}, "77"), ({"инн": "77"}, "77"), ({"tax_id": "77"}, "77"), ({"inn": ""}, ""), ({}, "")],
)
def test_j10_the_further_key_is_read_from_whatever_the_site_calls_it(parameters: dict[str, str], told: str) -> None:
    """J4: a key absent from the enquiry is not searched."""
    replacing = [
        ('keys = ["phone", "email"] ', f"keys = {ALL_THREE} "),
        ('# parameters = { "ИНН" = ["inn"] } ', 'parameters = { "ИНН" = ["inn", "TAX_ID"] } '),
    ]
    rules = policy("jivo-shop", replacing=replacing).identity
    found = with_further_keys(form(parameters=parameters), rules)
    assert found.client.fields == ({"ИНН": told} if told else {})
    own = form(parameters=parameters, client=Identity(phones=(PHONE,), fields={"ИНН": "99"}))
    assert with_further_keys(own, rules).client.fields == {"ИНН": "99"}
    assert with_further_keys(form(parameters=parameters), SHOP.identity).client.fields == {}


# --- J11: what becomes of a duplicate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "wanted"),
    [
        ("", [TASK.format("olena", "deal"), "note on deal", "tell olena"]),
        (
            'deal = "create_another"',
            ["deal for olena", TASK.format("olena", "new deal"), "note on new deal", "tell olena"],
        ),
        ('deal = "none"\nnotes = []\nnotify = []', [TASK.format("olena", "deal")]),
        ('tasks = []\nnotes = []\nnotify = []\ncontact_fields = { "Form" = "{{ form_name }}" }', ["contact changes"]),
        ('drop = "known already"', ["nothing: known already"]),
    ],
    ids=["attach to the open deal", "a new deal on the same contact", "task only", "contact only", "nothing"],
)
def test_j11_a_rule_chooses_what_becomes_of_a_duplicate(sets: str, wanted: list[str]) -> None:
    rules = policy("jivo-shop", f'[[rules]]\nname = "x"\nwhen = {{ form_name = "basket" }}\n{sets}\n')
    assert outline(plan(form(form_name="basket"), WITH_DEAL, rules)) == wanted
    usual = [TASK.format("olena", "deal"), "note on deal", "tell olena"]
    assert outline(plan(form(form_name="question"), WITH_DEAL, rules)) == usual


def test_j3_a_notice_reaches_the_responsible_with_what_happened() -> None:
    told = next(action for action in plan(form(), CLOSED, SHOP).actions if isinstance(action, Notify))
    assert told.employees == (OWNER,)
    assert told.phone == PHONE


def test_j4_what_a_known_contact_lacked_is_added_to_it() -> None:
    made = plan(enquiry(PHONE, "new@x"), card(PHONE, "old@x"), SHOP)
    update = next(action for action in made.actions if isinstance(action, UpdateContact))
    assert (update.add_emails, update.add_phones, update.name) == (("new@x",), (), None)


def test_x10_any_call_that_reaches_the_client_ends_the_task_of_the_unanswered_chat() -> None:
    crm = MemoryCrm(rules=SHOP)
    crm.take(chat(by="", client=Identity(phones=(PHONE,))))
    assert sum(task.is_open for task in crm.known.tasks) == 1
    crm.take(outgoing(), now=NOW + timedelta(minutes=9))
    assert sum(task.is_open for task in crm.known.tasks) == 0
