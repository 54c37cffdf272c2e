"""Policies: what is refused, with file, path and what is allowed (H11); what is read; the presets."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from hub.core.condition import Condition, compile_condition
from hub.core.facts import Facts, establish
from hub.core.field import FIELDS, find_field
from hub.core.interaction import Attribution
from hub.core.plan import Check, CreateContact, CreateDeal, Notify
from hub.core.policy import Policy, load_policy, policy_schema
from hub.core.text import VALUES
from hub.errors import ConfigurationError
from hub.rules import AnnounceNewRecords, RepeatAsNew
from hub.testing.builders import (
    NEW_CLIENT,
    NOW,
    TEAM,
    answered,
    client,
    form,
    missed,
    outgoing,
    outline,
    plan,
    policy,
)
from hub.testing.messages import message

BAD = [
    ("no TOML", "[project", 1, "", "no TOML"),
    ("an unknown part", "[projekt]\n", 1, "projekt", "did you mean project"),
    ("an unknown setting", "[deals]\npipline = 'Sales'\n", 2, "deals.pipline", "did you mean pipeline"),
    ("a mistyped setting that is needed",
     "[[matrix]]\nname = 'x'\ntasks = [{ task = 'call', asignees = ['head'] }]\n", 3, "matrix.0.tasks.0.asignees",
     "did you mean assignees"),
    ("an unknown choice", "[call_record]\non = 'company'\n", 2, "call_record.on", "'contact', 'deal', 'none'"),
    ("a zone", "[project]\ntime_zone = 'Kyiv'\n", 2, "project.time_zone", "Europe/Kyiv"),
    ("a region", "[project]\nregion = 'Ukraine'\n", 2, "project.region", "pattern"),
    ("a duration", "[timing]\nsettle = '3 moons'\n", 2, "timing.settle", "minutes"),
    (
        "an unknown field",
        "[[matrix]]\nname = 'x'\nwhen = { is_anwsered = true }\n",
        3,
        "matrix.0.when",
        "is_answered",
    ),
    (
        "an unknown operator",
        "[[matrix]]\nname = 'x'\nwhen = { talk_seconds = { lower = 5 } }\n",
        3,
        "matrix.0.when",
        "between",
    ),
    ("a flag as text", "[[matrix]]\nname = 'x'\nwhen = { is_answered = 'yes' }\n", 3, "matrix.0.when", "true or"),
    ("a bad pattern", "[[rules]]\nname = 'x'\nwhen = { line = { matches = '(' } }\n", 3, "rules.0.when", "regular"),
    ("an unknown task", "[[matrix]]\nname = 'x'\ntasks = [{ task = 'ring', assignees = ['senior'] }]\n", 3,
     "matrix.0.tasks.0.task", "no kind of task 'ring'"),
    ("nobody", "[[matrix]]\nname = 'x'\nresponsible = ['boss']\n", 1, "matrix.0", "'boss' names nobody"),
    ("an unknown note", "[[matrix]]\nname = 'x'\nnotes = [{ note = 'y' }]\n", 3, "matrix.0.notes.0.note", "no note"),
    ("two rows of one name", "[[matrix]]\nname = 'x'\n[[matrix]]\nname = 'x'\n", 4, "matrix.1.name", "two rows"),
    ("a group without members", "[assignment.groups.sales]\nmembers = []\n", 2, "assignment.groups.sales.members",
     "no members"),
    ("a group of strangers", "[assignment.groups.sales]\nmembers = ['x']\n", 2, "assignment.groups.sales.members",
     "no employee 'x'"),
    ("overlapping hours", "[schedules.s]\nhours = { mon = ['09:00-12:00', '11:00-18:00'] }\n", 2, "schedules.s.hours",
     "overlap"),
    ("a day twice", "[schedules.s]\nhours = { mon-fri = ['09:00-12:00'], tue = ['09:00-10:00'] }\n", 2,
     "schedules.s.hours", "tue has hours already"),
    ("a country", "[schedules.s]\nhours = { mon = ['09:00-12:00'] }\nholidays = 'Narnia'\n", 3, "schedules.s.holidays",
     "ISO 3166"),
    ("a text that does not render", "[tasks.x]\ntext = '{% if %}'\n", 2, "tasks.x.text", "does not render"),
    ("a text with an unknown value", "[tasks.x]\ntext = 'hello {{ clinet }}'\n", 2, "tasks.x.text", "client"),
    ("a rule nobody offers", "[[rules]]\nname = 'x'\nuse = 'magic'\n", 3, "rules.0.use", "no plugin offers"),
    ("an unknown schedule", "[project]\nschedule = 's'\n", 2, "project.schedule", "no schedule 's'"),
    ("an unknown schedule in a condition",
     "[[matrix]]\nname = 'x'\nwhen = { moment = { working_hours = 's' } }\n", 3, "matrix.0.when", "no schedule"),
    ("an employee twice", "[[employees]]\nid = 'a'\n[[employees]]\nid = 'a'\n", 4, "employees.1.id", "twice"),
    ("an unknown deputy",
     "[[employees]]\nid = 'a'\nabsences = [{ since = 2026-01-01, until = 2026-01-02, deputy = 'b' }]\n", 3,
     "employees.0.absences.0.deputy", "no employee 'b'"),
    ("a deputy loop",
     "[[employees]]\nid = 'a'\nabsences = [{ since = 2026-01-01, until = 2026-01-09, deputy = 'b' }]\n"
     "[[employees]]\nid = 'b'\nabsences = [{ since = 2026-01-05, until = 2026-01-06, deputy = 'a' }]\n", 3,
     "employees.0.absences.0.deputy", "lead back to 'a'"),
    ("an absence that ends first", "[[employees]]\nid = 'a'\nabsences = [{ since = 2026-01-09, until = 2026-01-02 }]\n",
     3, "employees.0", "ends before"),
    ("a number that is none", "[[sources]]\nnumber = '12'\n", 2, "sources.0.number", "no telephone number in UA"),
    ("an unknown senior", "senior = 'x'\n", 1, "senior", "no employee 'x'"),
    ("an unknown key", "[identity]\nkeys = ['phone', 'inn']\n", 2, "identity.keys", "field:<name"),
]  # fmt: skip


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "[[rules]]\nwhen = " + "{not = " * 5000])
def test_what_is_nested_without_end_is_refused_in_a_sentence(text: str) -> None:
    """H11: the file of a broken generator, or of somebody who tries what happens."""
    with pytest.raises(ConfigurationError, match=r"policy\.toml: this is nested too deeply"):
        load_policy(text, "policy.toml")


@pytest.mark.parametrize(("text", "line", "path", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_policy_is_refused_with_file_line_path_and_what_is_allowed(
    text: str, line: int, path: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(text, "policy.toml")
    error = caught.value
    assert (error.file, error.line) == ("policy.toml", line)
    assert error.path.startswith(path)
    assert said in error.problem
    assert "policy.toml" in str(error)


@pytest.mark.parametrize(
    "preset", [found.name for found in files("hub.presets").iterdir() if found.name.endswith(".toml")]
)
def test_a_preset_is_a_policy_as_it_stands(preset: str) -> None:
    rules = policy(preset.removesuffix(".toml"), team="")
    assert rules.matrix
    told = message() if "messengers" in preset else missed()
    assert outline(plan(told, NEW_CLIENT, rules))[0] == "contact for nobody"


def test_deputies_who_are_not_away_together_are_no_loop() -> None:
    load_policy(
        "[[employees]]\nid = 'a'\nabsences = [{ since = 2026-01-01, until = 2026-01-04, deputy = 'b' }]\n"
        "[[employees]]\nid = 'b'\nabsences = [{ since = 2026-01-05, until = 2026-01-06, deputy = 'a' }]\n"
    )


def test_the_schema_is_json_and_knows_every_part() -> None:
    schema = json.loads(json.dumps(policy_schema()))
    assert set(schema["properties"]) == set(Policy.model_fields)


def test_every_field_can_be_read_and_has_a_meaning() -> None:
    """A8, J2: the registry and the facts agree."""
    facts = establish(answered(), client(deal="olena"), policy("car-dealer"), NOW)
    for name, field in FIELDS.items():
        value = field.read(facts)
        assert field.meaning, name
        expected = {"flag": bool, "list": tuple, "text": str}.get(field.type)
        assert expected is None or value is None or isinstance(value, expected), name


def test_every_value_of_texts_can_be_said() -> None:
    text = " ".join(f"{{{{ {name} }}}}" for name in VALUES)
    rules = load_policy(f"{TEAM}\n[deals]\nname = '''{text}'''\n[[matrix]]\nname = 'x'\ndeal = 'create'\n")
    made = plan(answered(), NEW_CLIENT, rules)
    assert not made.explanation.warnings
    assert "Olena Koval" in next(action.name for action in made.actions if isinstance(action, CreateDeal))


def facts_of_a_call() -> Facts:
    told = answered(
        parameters={"form": "newsletter", "Отдел": "Продажи"}, attribution=Attribution(utm_source="Google Ads")
    )
    return establish(told, client(deal="olena"), policy("car-dealer"), NOW)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"direction": "inbound"}, True),
        ({"direction": ["outbound", "inbound"]}, True),
        ({"field": "direction", "operator": "not_equals", "value": "inbound"}, False),
        ({"utm_source": "google ads"}, True),
        ({"utm_source": {"contains": "ads"}}, True),
        ({"utm_source": {"starts_with": "goo"}}, True),
        ({"utm_source": {"ends_with": "ads"}}, True),
        ({"utm_source": {"matches": "^goo.*s$"}}, True),
        ({"utm_medium": {"exists": False}}, True),
        ({"utm_source": {"exists": True}}, True),
        ({"utm_source": {"none_of": ["bing"]}}, True),
        ({"talk_seconds": {"less": 60}}, False),
        ({"talk_seconds": {"at_most": 60}}, True),
        ({"talk_seconds": {"greater": 59}}, True),
        ({"talk_seconds": {"at_least": 61}}, False),
        ({"talk_seconds": {"between": [30, 90]}}, True),
        ({"price": {"less": 10}}, False),
        ({"moment": {"time_of_day": "11:00-13:00"}}, True),
        ({"moment": {"time_of_day": "22:00-06:00"}}, False),
        ({"moment": {"weekday": ["mon"]}}, True),
        ({"moment": {"working_hours": True}}, True),
        ({"moment": {"working_hours": "showroom"}}, True),
        ({"parameters": {"form": "newsletter"}}, True),
        ({"parameters.form": {"one_of": ["x", "newsletter"]}}, True),
        ({"parameters": {"Отдел": "продажи"}}, True),
        ({"parameters": {"absent": {"exists": True}}}, False),
        ({"rung": "olena"}, True),
        ({"country": "UA"}, True),
        ({"not": {"direction": "inbound"}}, False),
        ({"any": [{"direction": "outbound"}, {"is_answered": True}]}, True),
        ({"all": [{"direction": "inbound"}, {"is_answered": False}]}, False),
        ([{"direction": "inbound"}, {"not": {"is_missed": True}}], True),
        ({"direction": "inbound", "not": {"line": "+380441234567"}}, False),
    ],
    ids=str,
)
def test_conditions(condition: object, holds: bool) -> None:
    """C1, J2: field, operator, value; all, any, not; short and long form."""
    compiled = compile_condition(Condition.model_validate(condition), policy("car-dealer"), lambda check: check)
    failed = compiled(facts_of_a_call())
    assert (failed is None) is holds
    assert failed is None or isinstance(failed, Check)


def test_an_unknown_parameter_is_no_error_but_an_unknown_prefix_is() -> None:
    assert find_field("parameters.anything") is not None
    assert find_field("nothing.anything") is None


RULES = """
[[rules]]
name = "feedback"
when = { line = "+380441234567" }
stage = "cancelled"
tags = ["feedback"]
fields = { "Кто" = "higher" }

[[rules]]
name = "sales"
when = { kind = "call" }
stage = "new"
pipeline = "Sales"
tags = ["phone"]
fields = { "Кто" = "lower", "Что" = "call" }
"""


def _deal(rules: Policy) -> CreateDeal:
    return next(action for action in plan(answered(), NEW_CLIENT, rules).actions if isinstance(action, CreateDeal))


def test_of_contradicting_rules_the_higher_wins_and_lower_ones_set_the_rest() -> None:
    """C1's default."""
    deal = _deal(policy("car-dealer", RULES))
    assert (deal.stage, deal.pipeline, deal.tags) == ("cancelled", "Sales", ("feedback", "phone"))
    assert deal.fields == {"Кто": "higher", "Что": "call"}


@pytest.mark.parametrize("switch", ["a rule's stop", "the policy's switch"])
def test_a_rule_or_the_policy_can_end_it_at_the_first_that_holds(switch: str) -> None:
    if switch == "a rule's stop":
        rules = policy("car-dealer", RULES.replace('stage = "cancelled"', 'stage = "cancelled"\nstop = true'))
    else:
        rules = policy("car-dealer", RULES, replacing=[("[project]", "stop_at_first_rule = true\n[project]")])
    deal = _deal(rules)
    assert (deal.stage, deal.pipeline, deal.tags) == ("cancelled", "", ("feedback",))


def test_a_rule_can_drop_and_the_explanation_says_which_one() -> None:
    rules = policy("car-dealer", '[[rules]]\nname = "J2"\nwhen = { form_name = "newsletter" }\ndrop = "newsletter"\n')
    made = plan(form(form_name="newsletter"), NEW_CLIENT, rules)
    assert outline(made) == ["nothing: newsletter"]
    assert [trial.name for trial in made.explanation.trials if trial.has_won][-1] == "J2"
    contact_only = policy(
        "car-dealer",
        '[[rules]]\nname = "J2"\nwhen = { form_name = "newsletter" }\n'
        'deal = "none"\ntasks = []\nnotes = []\nnotify = []\n',
    )
    assert outline(plan(form(form_name="newsletter"), NEW_CLIENT, contact_only)) == ["contact for serhii"]


def test_a_channel_sets_what_neither_row_nor_rule_says() -> None:
    """W1: pipeline and stage per channel."""
    rules = policy("car-dealer", '[channels.phone]\npipeline = "Calls"\nstage = "first"\n' + RULES)
    assert (_deal(rules).pipeline, _deal(rules).stage) == ("Sales", "cancelled")
    plain = policy("car-dealer", '[channels.phone]\npipeline = "Calls"\n')
    assert _deal(plain).pipeline == "Calls"


GROUP = """
[[rules]]
name = "W3"
when = { is_missed = true, is_new_client = true }
responsible = ["turn:sales"]

[assignment.groups.sales]
members = ["olena", "ivan"]
fallback = ["head"]
"""


def test_new_clients_are_shared_out_in_turn_and_the_plan_carries_the_state() -> None:
    """J3, W3."""
    from hub.core.rota import Rota

    rules, rota, taken = policy("car-dealer", GROUP), Rota(), []
    for _ in range(4):
        made = plan(missed(), NEW_CLIENT, rules, rota=rota)
        rota = Rota(turns=made.turns)
        taken.append(made.responsible)
    assert taken == ["olena", "ivan", "olena", "ivan"]
    again = plan(missed(), NEW_CLIENT, rules, rota=Rota(chosen={"sales": taken[0]} if taken[0] else {}))
    assert (again.responsible, dict(again.turns)) == ("olena", {})


def test_who_is_off_shift_absent_or_full_has_no_turn_and_the_explanation_says_so() -> None:
    from hub.core.records import EmployeeId
    from hub.core.rota import Rota

    night = NOW.replace(hour=22)
    rules = policy("car-dealer", GROUP, team=TEAM.replace('extension = "102"', 'extension = "102"\ncapacity = 3'))
    at_night = plan(missed(), NEW_CLIENT, rules, now=night)
    assert at_night.responsible == "andrii"
    assert {one.reason.code for one in at_night.explanation.candidates if not one.is_chosen} == {"off_shift"}
    full = plan(missed(), NEW_CLIENT, rules, rota=Rota(loads={EmployeeId("ivan"): 3}))
    assert full.responsible == "olena"
    assert any(one.reason.code == "at_capacity" for one in full.explanation.candidates)


def test_the_hubs_own_rules_come_through_the_same_door() -> None:
    """C7, W5."""
    text = files("hub.presets").joinpath("zoho-standard.toml").read_text(encoding="utf-8")
    rules = load_policy(
        f'{text}{TEAM}\n[channels.phone]\nrepeat = "new_deal"\n'
        '[[rules]]\nname = "C7"\nuse = "announce_new_records"\n'
        '[[rules]]\nname = "W5"\nuse = "repeat_as_new"\nsettings = { keep_responsible = true }\n',
        rules=[AnnounceNewRecords(), RepeatAsNew()],
    )
    told = next(action for action in plan(answered(), NEW_CLIENT, rules).actions if isinstance(action, Notify))
    assert told.employees == ("olena",)
    assert "deal for olena" in outline(plan(missed(), client(closed_deal="olena"), rules))
    assert not any("deal" in line.split()[0] for line in outline(plan(outgoing(), client(closed_deal="olena"), rules)))


def test_a_wrong_setting_of_a_plugins_rule_is_named_with_what_is_allowed() -> None:
    """H11."""
    text = files("hub.presets").joinpath("zoho-standard.toml").read_text(encoding="utf-8")
    wrong = '[[rules]]\nname = "W5"\nuse = "repeat_as_new"\nsettings = { keep_the_responsible = true }\n'
    with pytest.raises(ConfigurationError, match=r"did you mean keep_responsible\? Allowed: ") as told:
        load_policy(f"{text}{TEAM}\n{wrong}", rules=[RepeatAsNew()])
    assert told.value.path == "rules.0.settings.keep_the_responsible"


def test_a_plugins_rule_that_fails_is_a_warning_not_the_end() -> None:
    """H1."""

    class Broken(AnnounceNewRecords):
        name = "broken"

        def consider(self, facts: object, outcome: object, settings: object) -> None:
            raise RuntimeError("oops")

    text = files("hub.presets").joinpath("zoho-standard.toml").read_text(encoding="utf-8")
    rules = load_policy(f'{text}{TEAM}\n[[rules]]\nname = "x"\nuse = "broken"\n', rules=[Broken()])
    made = plan(missed(), NEW_CLIENT, rules)
    assert [warning.code for warning in made.explanation.warnings] == ["rule_failed"]
    assert outline(made)[0] == "contact for serhii"


def test_a_text_that_fails_falls_back_to_a_plain_one_with_a_warning() -> None:
    """DESIGN 6: the action still happens."""
    rules = load_policy("[contacts]\nname = '{{ parameters.a.b.c }}'\n[[matrix]]\nname = 'x'\ndeal = 'none'\n")
    made = plan(answered(), NEW_CLIENT, rules)
    assert [warning.code for warning in made.explanation.warnings] == ["text_failed"]
    assert next(action.name for action in made.actions if isinstance(action, CreateContact)) == "contact +380501112233"


@pytest.mark.parametrize("text", ["{{ 'x' * 10 ** 9 }}", "{{ 'x' * 999999999 }}", "{{ phone.__class__.__mro__ }}"])
def test_texts_live_in_a_sandbox(text: str) -> None:
    rules = load_policy(f'[contacts]\nname = "{text}"\n[[matrix]]\nname = "x"\n')
    made = plan(answered(), NEW_CLIENT, rules)
    name = next(action.name for action in made.actions if isinstance(action, CreateContact))
    assert len(name) < 100
    assert "class" not in name
