"""``hub run`` as a supervisor sees it (H11)."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app


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
