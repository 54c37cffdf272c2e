"""A day of traffic by the command that a newcomer types: nothing lost, nothing doubled, nothing told to the log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.compose import build_services
from hub.demo import traffic
from hub.demo.project import PROJECT
from hub.settings import Settings
from hub.store import projects
from tests.ports import free_port

CALLS, SEED = 40, 11


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the day's hub keeps its databases."""
    return tmp_path_factory.mktemp("day")


@pytest.fixture(scope="module")
def day(data: Path) -> subprocess.CompletedProcess[str]:
    """``hub demo --once --json`` with everything that the hub logs."""
    command = [sys.executable, "-m", "hub.cli", "demo", "--once", "--json", "--port", "0", "--data", str(data)]
    return subprocess.run(
        [*command, "--calls", str(CALLS), "--seed", str(SEED)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "HUB_LOG_LEVEL": "debug"},
    )


def _secrets_of(data: Path) -> dict[str, str]:
    """Whose and what: the secrets of all addresses, and those that channels and CRMs were set up with."""
    services = build_services(Settings(environment="development", data_directory=data))
    try:
        store, cipher, plugins = services.store, services.cipher, services.plugins
        channels = store.read_now(lambda conn: projects.list_channels(conn, cipher))
        crms = store.read_now(lambda conn: projects.list_connections(conn, cipher))
    finally:
        services.close()
    found = {f"address of {one.name}": one.secret for one in channels}
    found |= {f"address of {one.name}": one.secret for one in crms}
    models = {one.name: (plugins.source(one.source).settings_model, one.settings) for one in channels}
    models |= {one.name: (plugins.sink(one.sink).settings_model, one.settings) for one in crms}
    for name, (model, settings) in models.items():
        for field, value in model.model_validate(settings):
            if isinstance(value, SecretStr) and value.get_secret_value():
                found[f"{field} of {name}"] = value.get_secret_value()
    return found


@pytest.mark.timeout(300)
@pytest.mark.end_to_end
def test_day_ends_with_nothing_lost_doubled_or_left(day: subprocess.CompletedProcess[str]) -> None:
    """The figures are the auditor's, who reads only the traffic file and the CRM's records."""
    assert day.returncode == 0, day.stdout + day.stderr
    summary = json.loads(day.stdout)
    assert list(summary) == [
        "interactions",
        "contacts",
        "deals",
        "tasks",
        "calls",
        "requests",
        "lost",
        "doubled",
        "needs_attention",
        "late",
        "forwarding_questions",
        "forwarding_answered",
        "forwarding_to",
    ]
    assert (summary["lost"], summary["doubled"], summary["needs_attention"]) == (0, 0, 0)
    assert summary["interactions"] > CALLS
    # R2: the telephony asked before clients' first calls, and heard of the existing ones whose they are (R5)
    assert summary["forwarding_questions"] > summary["forwarding_answered"] > 0
    assert sum(summary["forwarding_to"].values()) == summary["forwarding_answered"]
    assert min(summary["contacts"], summary["deals"], summary["tasks"], summary["calls"]) > 0


@pytest.mark.end_to_end
def test_days_log_tells_no_secret_and_no_full_number(day: subprocess.CompletedProcess[str], data: Path) -> None:
    """H8: keys, tokens, address secrets and clients' numbers stay out of the log, whatever its level."""
    log = day.stderr
    assert "connection" in log or "import" in log, "nothing was logged: the test would see nothing"
    played = traffic.last_working_day(SystemClock().now())
    record = traffic.generate(seed=SEED, day=played, calls=CALLS).to_record()
    told = [*record["calls"], *record["chats"], *record["messages"]]
    numbers = {one["client_number"] for one in told if one["client_number"]}
    typed = [form["phone"] for form in record["forms"]]
    typed += [phone for contact in record["preload"]["contacts"] for phone in contact["phones"]]
    numbers |= {*typed, *(re.sub(r"\D", "", phone) for phone in typed)}
    assert len(numbers) > CALLS / 2
    assert [number for number in numbers if number in log] == []
    secrets = _secrets_of(data)
    assert {"address of ringostat", "address of amocrm", "auth_key of ringostat", "long_lived_token of amocrm"} <= set(
        secrets
    )
    assert [whose for whose, secret in secrets.items() if secret in log] == []
    assert re.findall(r"eyJ[\w-]{10,}\.", log) == [], "a token"
    assert re.findall(rf"/(?:hooks|forward)/{PROJECT}/[a-z]+/(?!\*\*\*)\S+", log) == [], "an address with its secret"


def test_mask_hides_numbers_and_addresses() -> None:
    """The last line of defence masks what slipped into a message."""
    from hub.logs import mask

    assert mask("call of +380501112233 ended") == "call of +380***33 ended"
    assert mask("call of +380501112233.") == "call of +380***33."
    assert (
        mask("call ua0_-1795158235.4412146, pbx 1795158235.4412146")
        == "call ua0_-1795158235.4412146, pbx 1795158235.4412146"
    )
    assert mask("GET /hooks/demo/ringostat/5ec2e7 200") == "GET /hooks/demo/ringostat/*** 200"
    assert mask("POST /crm/demo/amocrm/5ec2e7 200") == "POST /crm/demo/amocrm/*** 200"
    assert mask("POST /forms/demo/5ec2e7?name=x 200") == "POST /forms/demo/***?name=x 200"


def test_traffic_of_a_seed_is_the_same_everywhere(tmp_path: Path) -> None:
    """The auditor can be given the same day again."""
    first = traffic.generate(seed=3, day=date(2026, 7, 29), calls=20).to_record()
    second = traffic.generate(seed=3, day=date(2026, 7, 29), calls=20).to_record()
    assert json.dumps(first) == json.dumps(second)


@pytest.mark.timeout(360)
@pytest.mark.end_to_end
def test_the_first_signal_ends_a_day_that_is_played(tmp_path: Path) -> None:
    """The web server hears the signal; the day that is still played ends with it, and the folder is left closed."""
    port = free_port()
    command = [sys.executable, "-m", "hub.cli", "demo", "--once", "--calls", "300", "--port", str(port)]
    command += ["--channel", "ringostat", "--crm", "amocrm", "--data", str(tmp_path / "var")]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 180
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            while not _is_served(client):
                assert demo.poll() is None
                assert time.monotonic() < end, "the demo does not serve"
                time.sleep(0.1)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 130
    finally:
        demo.kill()
        demo.wait()
    # closed in order: nothing is left to be folded in
    assert not (tmp_path / "var" / "hub.db-wal").exists()


def _is_served(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False
