"""``hub run`` as a supervisor sees it (H11)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app

#: what the command line does at its start, up to the first thing it says
START = """
import sys, hub.cli
from hub.commands.context import say
from hub.language import _catalogue
say("The hub serves on {address} (console: /console/)", address="http://127.0.0.1")
print(_catalogue.cache_info().currsize, *sys.modules)
"""


def test_a_start_reads_nothing_that_only_other_commands_and_pages_need() -> None:
    """DESIGN 11: ready in two seconds; the texts of pages alone are a twentieth of a second."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True, timeout=60)
    catalogues, *modules = done.stdout.splitlines()[-1].split()
    assert catalogues == "0"
    needless = ("hub.demo", "hub.testing", "hub.widget_archive", "hub.scaffold")
    assert [name for name in modules if name.startswith(needless)] == []


def test_a_database_that_cannot_be_reached_is_one_sentence_and_an_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H11, H8: no traceback, and no password of the address."""
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub:wordOfHonour@127.0.0.1:1/hub")
    ran = CliRunner().invoke(app, ["run", "--port", "0"])
    assert ran.exit_code == 3
    assert "the database cannot be reached" in ran.output
    assert "Traceback" not in ran.output
    assert "wordOfHonour" not in ran.output


@pytest.mark.parametrize("command", [["run", "--port", "0"], ["user", "list"], ["explain", "x"], ["db", "status"]])
@pytest.mark.parametrize(
    ("spoil", "status", "says"),
    [
        (lambda folder: (folder.mkdir(), (folder / "hub.db").write_bytes(b"\x9c" * 5000)), 3, "is not a database"),
        (lambda folder: folder.write_text("a file"), 2, "HUB_DATA_DIRECTORY"),
    ],
    ids=["a database that is none", "a folder that is none"],
)
def test_what_nothing_can_be_kept_in_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    spoil: Callable[[Path], object],
    status: int,
    says: str,
) -> None:
    """H11: whoever restored the wrong file, or mounted the wrong volume, is told so and sees no traceback."""
    spoil(tmp_path / "var")
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.delenv("HUB_DATABASE_URL", raising=False)
    ran = CliRunner().invoke(app, command)
    assert says in ran.output
    assert ran.exit_code in (status, 3)
    assert isinstance(ran.exception, SystemExit)
