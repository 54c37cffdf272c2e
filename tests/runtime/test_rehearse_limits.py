"""What a rehearsal leaves alone, refuses and admits not to know; and the command around it (X2)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from typer.testing import CliRunner

from hub.cli import app
from hub.core.difference import KINDS, Difference, differences
from hub.core.plan import Plan
from hub.core.policy import load_policy
from hub.core.rehearsal import Unknown
from hub.core.text import Language
from hub.errors import ConfigurationError
from hub.language import LANGUAGES, translator
from hub.runtime.rehearse import Wanted, rehearse
from hub.runtime.rehearsed import Speaker, difference_text, report_text
from hub.store import engine, schema
from hub.store.instant import moment
from hub.testing.builders import NEW_CLIENT, OWNER, answered, client, missed, plan, policy
from tests.runtime.life import BEGIN, CHANNEL, PROJECT, Life, life, month
from tests.runtime.test_rehearse import CHANGES, GROUP, MONTH, TURNS, rehearsed, text

#: two groups take turns, so that the one's turn must not move the other's
TWO_GROUPS = text(
    "car-dealer",
    TURNS,
    ('existing_answered = "keep"', 'existing_answered = "answerer"\ngroup = "all"'),
    ('responsible = ["caller", "senior"]', 'responsible = ["turn:two"]'),
    more=GROUP + '[assignment.groups.two]\nmembers = ["serhii", "ivan"]\non_shift_only = false\n',
)
EVENTS = month(seed=12, calls=70, clients=30)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A month under `TWO_GROUPS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PRAGMAS", tuple(one.replace("= FULL", "= OFF") for one in engine.PRAGMAS))
        with life(tmp_path_factory.mktemp("var"), TWO_GROUPS) as found:
            asyncio.run(found.live(EVENTS))
            yield found


@pytest.fixture
def aside(lived: Life) -> Iterator[sqlite3.Connection]:
    """Another process's connection, whose changes are taken back."""
    url = str(lived.services.store.url.database)
    copy = sqlite3.connect(url)
    saved = sqlite3.connect(":memory:")
    copy.backup(saved)
    yield copy
    copy.commit()
    saved.backup(copy)
    saved.close()
    copy.close()


@pytest.mark.parametrize("more", ["", '[retention]\nraw = "3 days"\n'], ids=["to the letter", "but for retention"])
def test_the_same_policy_rehearsed_changes_nothing(more: str, lived: Life) -> None:
    """Late recordings are revisions, and turns of two groups go on, in both worlds alike.

    Where only wishes differ, what they cannot reach is not planned anew; the second policy is planned for throughout.
    """
    report = rehearsed(lived, TWO_GROUPS + more)
    assert (report.changed, report.other_reason, report.groups, report.unknown) == (0, 0, (), {})
    assert report.decisions == len({event.fragment.external_id for event in EVENTS if event.fragment})
    assert report.then == report.now
    assert report.versions == {1: report.decisions}


def test_the_second_half_rehearsed_goes_on_with_the_turns_of_the_first(lived: Life) -> None:
    half = Wanted(since=BEGIN + timedelta(days=15), until=MONTH.until)
    report = rehearsed(lived, TWO_GROUPS, half)
    assert 0 < report.decisions < 70
    assert report.changed == 0
    far = text("car-dealer", *CHANGES["new clients in turn"], more=GROUP)
    assert rehearsed(lived, far, half).decisions == report.decisions


def test_a_rehearsal_writes_nothing(lived: Life) -> None:
    watcher = sqlite3.connect(str(lived.services.store.url.database))
    before = watcher.execute("PRAGMA data_version").fetchone()
    report = rehearsed(lived, text("car-dealer", *CHANGES["new clients in turn"], more=GROUP))
    assert report.changed > 0
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    watcher.close()


def test_what_cannot_be_known_is_counted(lived: Life, aside: sqlite3.Connection) -> None:
    decided = rehearsed(lived, TWO_GROUPS).decisions
    ids = [row[0] for row in aside.execute("SELECT interaction_id FROM decision GROUP BY 1 HAVING count(*) = 1")]
    revised = [row[0] for row in aside.execute("SELECT interaction_id FROM decision GROUP BY 1 HAVING count(*) = 2")]
    aside.execute("DELETE FROM decision WHERE interaction_id = ?", (ids[0],))
    aside.execute("UPDATE decision SET plan = x'00' WHERE interaction_id = ?", (ids[1],))
    aside.execute("DELETE FROM fragment WHERE interaction_id = ?", (revised[0],))
    aside.commit()
    report = rehearsed(lived, TWO_GROUPS)
    assert report.unknown == {Unknown.NOT_DECIDED: 1, Unknown.UNREADABLE: 1, Unknown.EARLIER_STATE: 1}
    assert report.decisions == decided - 2


def test_what_began_before_the_period_is_left_as_it_was(lived: Life, aside: sqlite3.Connection) -> None:
    first, second = aside.execute(
        "SELECT min(decided_at), max(decided_at) FROM decision GROUP BY interaction_id HAVING count(*) = 2"
    ).fetchone()
    since = moment((first + second) // 2)
    report = rehearsed(lived, text("car-dealer", more=GROUP), Wanted(since=since, until=MONTH.until))
    assert report.begun_before >= 1


def test_a_new_identity_key_was_never_looked_up(lived: Life, aside: sqlite3.Connection) -> None:
    """J4: nobody searched the CRM by it, so nobody knows whom it would have found."""
    body = aside.execute("SELECT body FROM interaction").fetchone()[0]
    changed = body.replace(b'"fields":{}', b'"fields":{"inn":"123"}', 1)
    assert changed != body
    aside.execute("UPDATE interaction SET body = ? WHERE body = ?", (changed, body))
    aside.commit()
    keys = text("car-dealer", ('several = "fuller"', 'several = "fuller"\nkeys = ["phone", "email", "field:inn"]'))
    assert rehearsed(lived, keys).unknown[Unknown.NEVER_LOOKED_UP] == 1


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (Wanted(since=MONTH.until, until=MONTH.since), "since"),
        (Wanted(since=MONTH.since, until=MONTH.until, channel="fax"), "channel"),
    ],
)
def test_a_period_or_channel_that_names_nothing_is_refused(wanted: Wanted, path: str, lived: Life) -> None:
    live = lived.services.projects.get(PROJECT)
    with pytest.raises(ConfigurationError) as found:
        rehearse(lived.services.store, live, load_policy(TWO_GROUPS), wanted)
    assert found.value.path == path
    assert rehearsed(lived, TWO_GROUPS, Wanted(since=MONTH.since, until=MONTH.until, channel=CHANNEL)).decisions > 0


def test_progress_only_grows_and_ends_at_the_whole(lived: Life) -> None:
    heard: list[float] = []
    live = lived.services.projects.get(PROJECT)
    rehearse(lived.services.store, live, load_policy(TWO_GROUPS), MONTH, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


# --- differences and words --------------------------------------------------------------------------------------

RULES = policy("car-dealer")
DIFFERENCES = [
    # then, now, what differs among other things
    (plan(missed(), NEW_CLIENT, RULES), plan(answered(), NEW_CLIENT, RULES),
     Difference(kind="row", before="A5 new", after="A2")),
    (plan(answered(), client(), RULES), plan(answered(), client(deal=OWNER), RULES),
     Difference(kind="no_deal", before=OWNER)),
    (plan(answered(), client(deal=OWNER), RULES), plan(answered(), client(), RULES),
     Difference(kind="deal", after=OWNER)),
    (plan(missed(), client(), RULES), plan(answered(), client(), RULES),
     Difference(kind="task_instead", of=OWNER, before="call_back", after="process")),
    (plan(missed(), client("ivan"), RULES), plan(missed(), client(OWNER), RULES),
     Difference(kind="task_responsible", of="call_back", before="ivan", after=OWNER)),
    (plan(answered(), client(), RULES), plan(answered(), client("ivan"), RULES),
     Difference(kind="responsible", before=OWNER, after="ivan")),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "wanted"), DIFFERENCES, ids=lambda one: getattr(one, "kind", ""))
def test_differences_are_told_by_what_a_sales_head_would_say(before: Plan, after: Plan, wanted: Difference) -> None:
    assert wanted in differences(before, after)
    assert differences(before, before) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_difference_and_the_whole_report_have_words(language: Language, lived: Life) -> None:
    speaker = Speaker(t=translator(language), zone=RULES.zone, names=RULES.names, titles={})
    for kind in KINDS:
        before = "text" if kind.endswith("task_content") or kind == "done_content" else OWNER
        of = "deal" if kind == "takeover" else "call_back"
        told = difference_text(Difference(kind=kind, of=of, before=before, after="ivan"), speaker)
        assert "differs" not in told
        assert "{" not in told
    report = rehearsed(lived, text("car-dealer", *CHANGES["new clients in turn"], more=GROUP))
    told = report_text(report, MONTH, "new.toml", speaker)
    assert "Olena Koval" in told
    assert "rehearse." not in told


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def command(lived: Life, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(lived.services.settings.data_directory))
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    return CliRunner()


def test_the_command_prints_one_json_document(command: CliRunner, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    new.write_text(text("car-dealer", *CHANGES["new clients in turn"], more=GROUP), encoding="utf-8")
    period = ["--since", "2026-07-01", "--until", "2026-08-10"]
    found = command.invoke(app, ["rehearse", "--policy", str(new), *period, "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["decisions"] == 70
    assert told["changed"] > 0
    assert {"employee", "name", "interactions", "deals", "tasks", "open_tasks"} == set(told["loads"][0])
    example = told["groups"][0]["examples"][0]
    assert example["before"]["actions"] != example["after"]["actions"]
    plain = command.invoke(app, ["rehearse", "--policy", str(new), *period, "--language", "uk"])
    assert "Репетиція" in plain.stdout
    beside = command.invoke(app, ["shadow", *period, "--json"])
    assert json.loads(beside.stdout)["decisions"] == 0


def test_what_nobody_would_own_is_an_exit_status(command: CliRunner, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    change = ('responsible = ["dialled_owner", "senior"]                            # A13', 'responsible = ["nobody"]')
    new.write_text(text("car-dealer", change), encoding="utf-8")
    found = command.invoke(app, ["rehearse", "--policy", str(new), "--since", "2026-07-01", "--until", "2026-08-10"])
    assert found.exit_code == 1, found.output
    assert "Nobody would own" in found.stdout


def test_a_broken_policy_is_refused_with_file_and_path(command: CliRunner, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[deals]\nunsorted = 7\n", encoding="utf-8")
    found = command.invoke(app, ["rehearse", "--policy", str(broken)])
    assert found.exit_code == 2
    told = " ".join(found.stderr.split())
    assert "broken.toml" in told.replace(" ", "")
    assert "deals.unsorted" in told
    late = tmp_path / "good.toml"
    late.write_text(TWO_GROUPS, encoding="utf-8")
    refused = command.invoke(app, ["rehearse", "--policy", str(late), "--since", "soon"])
    assert refused.exit_code == 2
    assert "--since" in refused.stderr


def test_an_import_may_be_rehearsed_and_then_not_wanted(command: CliRunner, lived: Life, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    new.write_text(text("car-dealer", more=GROUP), encoding="utf-8")
    asked = ["policy", "import", str(new), "--based-on", "1", "--rehearse", "2026-07-01"]
    found = command.invoke(app, asked, input="n\n")
    assert found.exit_code == 1
    count = select(schema.policy_version.c.version)
    assert lived.services.store.read_now(lambda conn: conn.execute(count).all()) == [(1,)]
    agreed = command.invoke(app, asked, input="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert len(lived.services.store.read_now(lambda conn: conn.execute(count).all())) == 2
    gone = delete(schema.policy_version).where(schema.policy_version.c.version > 1)
    lived.services.store.write_now(lambda conn: conn.execute(gone))
