"""``hub plugin``: what it writes passes its own tests at once; bad names and plugins are told in a sentence (U3)."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands import plugin as plugin_command


def hub(*words: str) -> Result:
    return CliRunner().invoke(app, ["plugin", *words])


def own_tests(folder: Path) -> str:
    """The report of a distribution's own tests, run as its author would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"FAILED\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("kind", ["source", "rule", "sink"])
def test_a_new_distribution_passes_its_own_tests_at_once(kind: str, tmp_path: Path) -> None:
    """X4, U3: the conformance kit among them; every name is the author's."""
    folder = tmp_path / "mine"
    done = hub("new", "night_owl", "--kind", kind, "--directory", str(folder))
    assert done.exit_code == 0, done.output
    assert "hub plugin check night_owl" in done.output
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if "parrot" in f"{path.name}{path.read_text(encoding='utf-8')}".lower()]
    assert 'name = "crm-hub-night-owl"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert " passed" in own_tests(folder)


NAMES = [
    "",
    "Parrot",
    "2go",
    "a-b",
    "a b",
    "a__b",
    "_a",
    "a_",
    "papagei\u0435",
    "hub",
    "class",
    "x" * 31,
    "../up",
    "ringostat",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be_used_writes_nothing(name: str, tmp_path: Path) -> None:
    done = hub("new", name, "--kind", "source", "--directory", str(tmp_path / "mine"))
    assert done.exit_code == 2
    assert "cannot be a plugin's name" in done.output
    assert not (tmp_path / "mine").exists()
    assert hub("new", "parrot", "--kind", "source", "--directory", str(tmp_path / "mine")).exit_code == 0


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for target in (tmp_path, tmp_path / "mine.txt"):
        done = hub("new", "parrot", "--kind", "source", "--directory", str(target))
        assert done.exit_code == 2
        assert "nothing was written" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = hub("new", "parrot", "--kind", "bird", "--directory", str(tmp_path / "mine"))
    assert done.exit_code == 2
    assert "'source', 'rule', 'sink'" in done.output


def test_an_installed_plugin_is_checked_line_by_line() -> None:
    """X4."""
    done = hub("check", "ringostat")
    assert done.exit_code == 0, done.output
    assert "ok   any bytes are read or refused with the field named" in done.output
    assert "ringostat: meets all expectations" in done.output


def test_programs_read_the_verdicts_as_json() -> None:
    done = hub("check", "ringostat", "--json")
    told = json.loads(done.stdout)
    assert (told["plugin"], told["ok"]) == ("ringostat", True)
    assert {"of": "source ringostat", "is_met": True}.items() <= told["expectations"][0].items()


def test_a_plugin_that_is_not_installed_is_named_with_those_that_are() -> None:
    done = hub("check", "nightingale")
    assert done.exit_code == 2
    assert "no plugin 'nightingale' is installed" in done.output
    assert "ringostat" in done.output


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed source whose author forgot a payload file and the sense of one event."""
    folder = tmp_path / "crm-hub-finch"
    assert hub("new", "finch", "--kind", "source", "--directory", str(folder)).exit_code == 0
    source = folder / "hub_finch" / "source.py"
    text = source.read_text(encoding="utf-8").replace('("ringing", "ended")', '("ringing", "ended", "rated")')
    source.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    entry = EntryPoint(name="finch", value="hub_finch", group="hub")
    known = {"hub": [entry], "hub.conformance": []}
    monkeypatch.setattr(plugin_command, "entry_points", lambda group: known[group])
    monkeypatch.setattr("hub.plugins.entry_points", lambda group: known[group])
    for module in [name for name in sys.modules if name.startswith("hub_finch")]:
        monkeypatch.delitem(sys.modules, module)
    return folder


def test_what_is_not_met_is_said_and_ends_in_status_1(broken: Path) -> None:
    done = hub("check", "finch")
    assert done.exit_code == 1
    assert "mend every declared event has a payload file" in done.output
    assert "no payload file for the event rated" in done.output
    assert "finch: 1 of" in done.output
    (broken / "tests/payloads/rated__five.json").write_bytes(
        (broken / "tests/payloads/ringing__incoming.json").read_bytes()
    )
    assert hub("check", "finch").exit_code == 0


def test_a_plugin_without_an_outfit_cannot_be_checked(broken: Path) -> None:
    outfit = broken / "hub_finch/conformance.py"
    text = outfit.read_text(encoding="utf-8")
    outfit.unlink()
    done = hub("check", "finch")
    assert done.exit_code == 1
    assert "it has no hub_finch.conformance with an OUTFIT" in done.output
    outfit.write_text(text.replace("OUTFIT = SourceOutfit", "OUTFIT = 5 or SourceOutfit"), encoding="utf-8")
    done = hub("check", "finch")
    assert done.exit_code == 1
    assert "not 5" in done.output


def test_an_outfit_that_does_not_import_is_named(broken: Path) -> None:
    (broken / "hub_finch/conformance.py").write_text("import nothing_of_this_name", encoding="utf-8")
    done = hub("check", "finch")
    assert done.exit_code == 1
    assert "hub_finch.conformance does not import" in done.output


def test_a_plugin_that_does_not_load_is_named(broken: Path) -> None:
    (broken / "hub_finch/__init__.py").write_text("1 / 0", encoding="utf-8")
    done = hub("check", "finch")
    assert done.exit_code == 1
    assert "finch does not work: ZeroDivisionError" in done.output
    listed = hub("list")
    assert listed.exit_code == 1
    assert "mend finch" in listed.output


def test_the_installed_plugins_are_listed_with_what_they_register() -> None:
    done = hub("list")
    assert done.exit_code == 0, done.output
    assert "crm-hub-ringostat" in done.output
    assert "sources: ringostat" in done.output
    [row] = [row for row in json.loads(hub("list", "--json").stdout) if row["plugin"] == "amocrm"]
    assert row["registers"] == ["sinks: amocrm"]
