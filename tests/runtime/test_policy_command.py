"""``hub policy`` and ``hub explain --forwarding`` as a person types them (X1, X3, H11, DESIGN 6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Catalogue, CrmUser, EmployeeId, UserId
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import codec, forwarding_log, policies, projects
from hub.store.forwarding_log import ForwardingEntry
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, preset

pytestmark = pytest.mark.usefixtures("each_engine")

NOW = datetime(2026, 7, 29, 9, 0, tzinfo=UTC)
EXAMPLE = """
[[example]]
name = "an answered call of a new client is Oleg's"
interaction = {{ kind = "call", answered_by = "{who}" }}
expect = {{ responsible = "oleg" }}
"""

Typed = Callable[..., Result]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    found = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    found.store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=NOW))
    yield found
    found.close()


@pytest.fixture
def typed(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *words: CliRunner().invoke(app, list(words))


def test_ready_policies_are_listed_and_printed(typed: Typed, tmp_path: Path) -> None:
    """X3: what is printed can be checked and published as it is; a name that names nothing is refused."""
    names = [one["name"] for one in json.loads(typed("policy", "presets", "--json").output)]
    assert {"car-dealer", "zoho-standard", "retailcrm-orders", "jivo-shop", "wazzup-messengers"} <= set(names)
    assert all(name in typed("policy", "presets").output for name in names)
    found = typed("policy", "preset", "car-dealer")
    file = tmp_path / "policy.toml"
    file.write_text(found.output, encoding="utf-8")
    assert found.output == files("hub").joinpath("presets/car-dealer.toml").read_text(encoding="utf-8")
    assert typed("policy", "check", str(file)).exit_code == 0
    refused = typed("policy", "preset", "nonsense")
    assert refused.exit_code == 2
    assert "car-dealer" in refused.output


def head(services: Services) -> int:
    found = services.store.read_now(lambda conn: policies.head(conn, PROJECT))
    return found.version if found else 0


def test_a_policy_is_published_whole_or_not_at_all(services: Services, typed: Typed, tmp_path: Path) -> None:
    """H11, DESIGN 6: versions, who, difference, one command back; a file that is not based on the head is refused."""
    file = tmp_path / "policy.toml"
    file.write_text(preset("car-dealer"), encoding="utf-8")
    assert typed("policy", "import", str(file), "--reason", "first").exit_code == 0
    file.write_text(typed("policy", "export").output.replace('due = "10 minutes"', 'due = "5 minutes"'), "utf-8")
    assert typed("policy", "import", str(file), "--reason", "sooner").exit_code == 0
    again = typed("policy", "import", str(file))
    assert (again.exit_code, head(services)) == (0, 2)
    assert "says exactly this already" in again.output
    file.write_text(file.read_text("utf-8").replace('due = "5 minutes"', 'due = "7 minutes"'), "utf-8")
    stale = typed("policy", "import", str(file))
    assert stale.exit_code == 2
    assert "version 2 by" in stale.output
    versions = json.loads(typed("policy", "versions", "--json").output)
    assert [(one["version"], one["reason"], one["based_on"]) for one in versions] == [
        (2, "sooner", 1),
        (1, "first", None),
    ]
    assert all(one["author"] for one in versions)
    assert '-due = "10 minutes"' in typed("policy", "diff", "1", "2").output
    assert typed("policy", "rollback", "1").exit_code == 0
    assert head(services) == 3
    assert typed("policy", "rollback", "9").exit_code == 2
    assert head(services) == 3


def test_the_examples_of_a_policy_are_checked_whenever_it_is_published(
    services: Services, typed: Typed, tmp_path: Path
) -> None:
    """X3: by check, by import, by going back; what fails is named and nothing is published."""
    file = tmp_path / "policy.toml"
    file.write_text(preset("car-dealer") + EXAMPLE.format(who="anna"), encoding="utf-8")
    for words in (("check",), ("import",)):
        refused = typed("policy", *words, str(file))
        assert refused.exit_code != 0
        assert "Oleg's" in refused.output
    assert head(services) == 0
    file.write_text(preset("car-dealer") + EXAMPLE.format(who="oleg"), encoding="utf-8")
    assert typed("policy", "import", str(file)).exit_code == 0
    broken = preset("car-dealer") + EXAMPLE.format(who="anna")

    def older(conn: object) -> None:
        policies.publish(conn, PROJECT, text=broken, author="an older hub", based_on=1, now=NOW)  # type: ignore[arg-type]
        policies.publish(conn, PROJECT, text=preset("car-dealer"), author="x", based_on=2, now=NOW)  # type: ignore[arg-type]

    services.store.write_now(older)
    refused = typed("policy", "rollback", "2")
    assert refused.exit_code == 2
    assert "Oleg's" in refused.output
    assert head(services) == 3


def test_a_crm_user_that_the_policy_names_goes_before_what_was_matched(services: Services) -> None:
    """H12: by e-mail, name or id; one whom the CRM does not have, and another plugin than there is, are told."""
    policy = preset("car-dealer").replace(
        'id = "oleg"', 'id = "oleg"\ncrm_users = { amocrm = "O.Gromov@Nordtea.example" }'
    )
    policy = policy.replace('id = "anna"', 'id = "anna"\ncrm_users = { amocrm = "nobody@nordtea.example" }')
    policy = policy.replace('id = "irina"', f'id = "irina"\ncrm_users = {{ {CRM} = "" }}')
    policy += f'[[crm]]\nname = "{CRM}"\nplugin = "zoho"\n[channels.{CHANNEL}]\nsource = "jivo"\n'
    catalogue = Catalogue(users=(CrmUser(id=UserId("7"), name="Громов Олег", email="o.gromov@nordtea.example"),))

    def fill(conn: object) -> None:
        cipher = services.cipher
        policies.publish(conn, PROJECT, text=policy, author="test", based_on=None, now=NOW)  # type: ignore[arg-type]
        projects.add_channel(conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=NOW)  # type: ignore[arg-type]
        projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=NOW)  # type: ignore[arg-type]
        projects.set_catalogue(conn, PROJECT, CRM, catalogue, NOW)  # type: ignore[arg-type]

    services.store.write_now(fill)
    services.projects.reload_now()
    live = services.projects.get(PROJECT)
    assert live.connections[0].users == {EmployeeId("oleg"): "7"}
    assert EmployeeId("oleg") not in live.connections[0].inactive
    # who has no user there on purpose is nobody's task to bind, and gets nothing there either
    assert live.connections[0].userless == {EmployeeId("irina")} < live.connections[0].inactive
    assert live.problems == {
        "employees.anna.crm_users": "amocrm has no user 'nobody@nordtea.example'",
        "crm.amocrm.plugin": "the set-up has 'amocrm', not 'zoho'",
        "channels.ringostat.source": "the set-up has 'ringostat', not 'jivo'",
    }
    assert CHANNEL in live.channels


def test_every_forwarding_answer_can_be_asked_why(services: Services, typed: Typed) -> None:
    """X1, X9: by the question, the call or the number; for people in their language, for programs as one structure."""
    text = preset("car-dealer")
    services.store.write_now(
        lambda conn: policies.publish(conn, PROJECT, text=text, author="test", based_on=None, now=NOW)
    )
    explained = {
        "reason": {"code": "deal_responsible"},
        "candidates": [
            {"employee": "anna", "role": "deal", "reason": {"code": "off_shift"}, "is_chosen": False},
            {"employee": "oleg", "role": "deputy", "reason": {"code": "chosen"}, "is_chosen": True},
        ],
        "connection": CRM,
        "policy_version": 1,
        "asked_crm": "too slow",
    }
    entry = ForwardingEntry(
        project=PROJECT,
        channel=CHANNEL,
        uuid="q-1",
        call_id="ua0_-7",
        caller=Phone("+380501112233"),
        asked_at=NOW,
        destination="examplecom_oleg",
        employee="oleg",
        took=timedelta(microseconds=900),
        age=timedelta(seconds=4),
        explanation=codec.dump_json(explained),
    )
    services.store.write_now(lambda conn: forwarding_log.append_many(conn, [entry]))
    for named in ("q-1", "ua0_-7", "050 111 22 33"):
        [told] = json.loads(typed("explain", "--forwarding", named, "--json").output)
        assert (told["employee"], told["age_milliseconds"], told["policy_version"]) == ("oleg", 4000, 1)
        assert [one["reason"]["code"] for one in told["candidates"]] == ["off_shift", "chosen"]
    said = typed("explain", "--forwarding", "q-1", "--language", "uk").output
    assert "не на зміні" in said
    assert "CRM спитали, вона не встигла відповісти" in said
    assert "Олег Громов" in said
    assert "off_shift" not in said
    assert json.loads(typed("explain", "--forwarding", "unknown", "--json").output) == []
    assert typed("explain").exit_code == 2


def test_a_policy_in_another_encoding_is_refused_with_its_line_and_an_editors_mark_is_passed_over(
    typed: Typed, tmp_path: Path
) -> None:
    """H11: by check, import and rehearse, in a sentence; never with a traceback."""
    file = tmp_path / "policy.toml"
    file.write_bytes(preset("car-dealer").encode("utf-8-sig"))
    assert typed("policy", "check", str(file)).exit_code == 0
    file.write_bytes("# first\n# Нове\n".encode("cp1251"))
    for words in (("policy", "check"), ("policy", "import"), ("rehearse", "--policy")):
        refused = typed(*words, str(file))
        assert isinstance(refused.exception, SystemExit), words
        assert f"{file}:2: this is not in UTF-8" in refused.output


def test_the_set_up_with_nobody_to_answer_says_where_to_go_on(typed: Typed) -> None:
    """H12: in a pipe it ends with a sentence, not in the middle of a question."""
    stopped = typed("setup")
    assert stopped.exit_code == 2
    assert "open /setup in a browser" in stopped.output
