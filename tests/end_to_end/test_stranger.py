"""A third party's plugin: a wheel, installed where only the hub is known, checked, and a call through it (H1, X4)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection

from hub.ports import RawRequest
from hub.store import projects
from tests.end_to_end.world import PROJECT, world

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "crm-hub-parrot"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


def run(*command: str, folder: Path | None = None, **more: str) -> str:
    """What a command says; it must succeed."""
    environment = {**os.environ, **more}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example's wheel was installed into, without any network."""
    place = tmp_path_factory.mktemp("stranger")
    # a copy, since building leaves its traces in the sources
    sources = place / "sources"
    run("cp", "-r", str(EXAMPLE), str(sources))
    built = str(place / "wheel")
    run(*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", built, str(sources))
    [wheel] = (place / "wheel").glob("*.whl")
    run(*PIP, "install", "--no-index", "--no-deps", "--target", str(place / "site"), str(wheel))
    return place / "site"


@pytest.fixture
def found(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The wheel is there for this process too, found by its entry point alone."""
    monkeypatch.syspath_prepend(str(installed))
    yield installed
    for module in [name for name in sys.modules if name.split(".")[0] == "hub_parrot"]:
        del sys.modules[module]


def test_the_installed_wheel_is_listed_and_meets_all_expectations(installed: Path) -> None:
    """X4: one command, no vendor account, no sources."""
    hub = [sys.executable, "-m", "hub.cli", "plugin"]
    path = os.pathsep.join((str(installed), str(ROOT)))
    rows = json.loads(run(*hub, "list", "--json", PYTHONPATH=path))
    [row] = [row for row in rows if row["plugin"] == "parrot"]
    assert row == {
        "plugin": "parrot",
        "distribution": "crm-hub-parrot 0.1.0",
        "registers": ["sources: parrot"],
        "problem": "",
    }
    told = run(*hub, "check", "parrot", PYTHONPATH=path, folder=installed)
    assert "parrot: meets all expectations" in told
    assert "ok   any question is answered with status 200" in told


def webhook(event: str, **values: object) -> bytes:
    call = {"call": "p-1", "began": "2026-07-29T08:05:45Z", "client": "050 111 22 33", "line": "+380441234567"}
    return json.dumps({**call, "event": event, "employee": "examplecom_oleg", **values}).encode()


async def test_a_call_through_the_strangers_plugin_reaches_the_crm(
    tmp_path: Path, amocrm: tuple[Sandbox, str], found: Path
) -> None:
    """H1: beside the hub's own plugins, through webhook, decision and steps into amoCRM (Z1)."""
    async with world(tmp_path, *amocrm) as company:
        services = company.hub.services
        assert "parrot" in services.plugins.names

        def add(conn: Connection) -> None:
            projects.add_channel(
                conn,
                services.cipher,
                project=PROJECT,
                name="parrot",
                source="parrot",
                settings={},
                now=services.clock.now(),
            )

        await services.store.write(add)
        await services.projects.reload()
        for body in (webhook("ringing"), webhook("ended", talk=62, recording="https://parrot.example/p-1.mp3")):
            request = RawRequest(method="POST", body=body, received_at=services.clock.now())
            await services.intake.accept(project=PROJECT, channel="parrot", kind="hook", request=request)
        await company.settled(1)
        records = company.records()
        assert [contact["responsible_user_id"] for contact in records["contacts"]] == [8800102]
        assert [deal["responsible_user_id"] for deal in records["leads"]] == [8800102]
        assert [task["is_completed"] for task in records["tasks"]] == [True]
        assert "https://parrot.example/p-1.mp3" in records["tasks"][0]["text"]
