"""The kit's pytest plugin: sentences instead of tracebacks, a marker, and nothing where no suite runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITE = """
from hub.testing.check import fail
import pytest

@pytest.mark.conformance
def test_the_sun_rises():
    '''X4: every day.'''
    fail("it did not rise today")

def test_of_another_kind():
    assert 1 == 2
"""


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *words]
    options = ["--strict-markers", "-W", "ignore::pytest.PytestDeprecationWarning"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    ).stdout  # fmt: skip


def test_what_the_kit_finds_is_told_as_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "test_sun.py").write_text(SUITE, encoding="utf-8")
    told = run(tmp_path, "-q")
    assert "it did not rise today\n\nExpected: X4: every day." in told
    assert "raise NotConforming" not in told
    assert "assert 1 == 2" in told
    assert "1 deselected" in run(tmp_path, "-q", "-m", "not conformance")
    assert "raise NotConforming" in run(tmp_path, "-q", "--full-trace")


def test_where_no_suite_runs_nothing_of_the_hub_is_imported(tmp_path: Path) -> None:
    """With warnings as errors, as here."""
    heavy = ("httpx", "pydantic", "hub.ports")
    (tmp_path / "test_light.py").write_text(
        "import sys\n\ndef test_light(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('hub')\n"
        f"    assert not [name for name in {heavy} if name in sys.modules]\n",
        encoding="utf-8",
    )
    assert "1 passed" in run(tmp_path, "-q")
