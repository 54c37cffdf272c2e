"""What is in `deploy/` speaks of settings, figures and addresses that there are (H9, H8)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.settings import Settings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def test_the_files_are_there() -> None:
    names = {path.relative_to(DEPLOY).as_posix() for path in FILES}
    assert {"alerts.yml", "Containerfile", "compose.yaml", "hub.env.example", "nginx/hub.conf", "README.md"} <= names
    assert {f"systemd/{unit}.service" for unit in ("hub", "hub-web@", "hub-worker@")} <= names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_variable_is_a_setting(path: Path) -> None:
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bHUB_[A-Z_]+\b", path.read_text(encoding="utf-8"))) <= known


def test_each_figure_that_alerts_ask_for_is_told() -> None:
    """As Prometheus sees them: counters end in _total, histograms in _bucket."""
    figures = (ROOT / "hub/web").glob("*metrics.py")
    told = {name for path in figures for name in re.findall(r'"(hub_[a-z_]+)"', path.read_text(encoding="utf-8"))}
    asked = set(re.findall(r"\b(hub_[a-z_]+)", (DEPLOY / "alerts.yml").read_text(encoding="utf-8")))
    assert len(asked) > 10
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} <= told


def test_each_figure_that_the_operators_are_shown_is_told() -> None:
    """The table of what to watch names nothing that /metrics does not have."""
    figures = (ROOT / "hub/web").glob("*metrics.py")
    told = {name for path in figures for name in re.findall(r'"(hub_[a-z_]+)"', path.read_text(encoding="utf-8"))}
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\b(hub_[a-z_]+)", page))
    assert len(shown) > 15
    assert shown <= told


def test_addresses_with_secrets_reach_no_log_of_the_proxy() -> None:
    """H8: hooks, forwarding, forms, the CRM's webhooks, and the card's signed links."""
    text = (DEPLOY / "nginx/hub.conf").read_text(encoding="utf-8")
    [unlogged] = re.findall(r"~\^/\(([a-z|]+)\)/ 0;", text)
    assert set(unlogged.split("|")) == {"hooks", "forward", "forms", "crm", "panel", "oauth"}
    assert "/widget/api/live 0;" in text, "a stream's ticket stands in its address"
    assert "if=$hub_logged" in text
    assert re.search(r"error_log \S+ crit;", text), "below that level nginx tells the whole address"
