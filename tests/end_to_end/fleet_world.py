"""Several processes of one hub on a real PostgreSQL, as people start them, beside a CRM's sandbox (H9)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy
from hub_amocrm.sandbox import Sandbox

from hub.clock import SystemClock
from hub.compose import build_services
from hub.core.records import Contact
from hub.ports import Changes
from hub.runtime.importer import IMPORTED_MARK
from hub.settings import Settings
from hub.store import cluster, directory_stream, projects
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.testing.running import Process
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, connect_services, prepare_services, preset

__all__ = ["Fleet", "fleet"]

KEY = "Tm9ib2R5IHNob3VsZCB1c2UgdGhpcyBrZXkgYW55d2g="


@dataclass(slots=True)
class Fleet:
    """What a test holds in its hands: the database, the sandbox, and the processes that it starts."""

    url: str
    folder: Path
    sandbox: Sandbox
    environment: dict[str, str]
    secrets: dict[str, str]
    processes: list[Process] = field(default_factory=list)

    def start(self, *roles: str, **more: str) -> list[Process]:
        """``hub run --role …`` for each of ``roles``, side by side; returns when all are ready.

        ``more`` goes to the environment; with ``HUB_PORT`` it listens there.
        """
        begun: list[Process] = []
        for role in roles:
            log = self.folder / f"{role}-{len(self.processes) + len(begun) + 1}.log"
            port = more.get("HUB_PORT", "0")
            begun.append(Process.start(role, log=log, environment=self.environment | more, port=port))
        self.processes += begun
        for process in begun:
            process.await_served()
        return begun

    def hook(self, process: Process, values: dict[str, str], project: str = PROJECT) -> bool:
        """One webhook of the telephony; whether it was accepted."""
        path = f"/hooks/{project}/{CHANNEL}/{self.secrets[project]}?moment=after"
        try:
            return httpx.post(
                f"http://127.0.0.1:{process.port}{path}", json=values, trust_env=False, timeout=10
            ).is_success
        except httpx.HTTPError:
            return False

    def know(self, *contacts: Contact, project: str = PROJECT) -> None:
        """The CRM's directory holds them: every process copies that."""
        with Directory(self.folder / "known.db") as known:
            known.fold(project, CRM, Changes(contacts=contacts), SystemClock().now())
            rows = known.rows_after(project, CRM, (0, ""), len(contacts))
        with Store(self.url) as store:
            store.write_now(lambda conn: directory_stream.put(conn, project, CRM, rows))

    def figures(self, process: Process) -> dict[str, float]:
        """What the process tells Prometheus, by name and labels."""
        text = httpx.get(f"http://127.0.0.1:{process.port}/metrics", trust_env=False, timeout=30).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a statement finds in the database."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as conn:
            return list(conn.execute(sqlalchemy.text(statement), values).all())

    def owner(self, project: str = PROJECT) -> str:
        """Who says that the project is theirs: ``role host id``; "" if nobody lives who does."""
        rows = self.rows(
            "SELECT id FROM hub_process WHERE :project = ANY(owns) AND beat_at > now() - interval '9 s'",
            project=project,
        )
        return str(rows[0][0]) if rows else ""

    def until(self, holds: Callable[[], bool], seconds: float = 60, what: str = "") -> None:
        """Wait until ``holds``; fails with what the processes said."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                said = "\n".join(f"--- {one.log.name}\n{one.last_words()}" for one in self.processes)
                states = self.rows("SELECT state, count(*) FROM work GROUP BY state")
                steps = self.rows("SELECT kind, state, count(*) FROM step GROUP BY kind, state")
                raise AssertionError(f"not reached within {seconds} s: {what}; work {states}, steps {steps}\n{said}")
            time.sleep(0.05)

    def finished(self) -> int:
        """How many interactions are finished or need attention."""
        return int(self.rows("SELECT count(*) FROM work WHERE state IN ('finished', 'attention')")[0][0])


@contextlib.contextmanager
def fleet(
    url: str,
    folder: Path,
    sandbox: Sandbox,
    address: str,
    *,
    policy: str = "",
    names: tuple[str, ...] = (PROJECT,),
    **environment: str,
) -> Iterator[Fleet]:
    """Prepared projects, each connected to the sandbox; no process runs yet. All end with the block."""
    data = folder / "var"
    settings = Settings(environment="development", data_directory=data, database_url=url, secret_key=KEY)
    services = build_services(settings)
    secrets: dict[str, str] = {}
    try:
        services.store.write_now(cluster.prepare)
        for name in names:
            prepare_services(
                services, address, sandbox.long_lived_token(), policy or preset("zoho-standard"), project=name
            )
            asyncio.run(connect_services(services, name))
            # the account is empty: a process that reads the whole of it would find nothing
            now = services.clock.now().isoformat()
            services.store.write_now(
                lambda conn, name=name, now=now: directory_stream.put(conn, name, CRM, (), {IMPORTED_MARK: now})  # type: ignore[misc]
            )
            channel = services.store.read_now(
                lambda conn, name=name: projects.find_channel(conn, services.cipher, name, CHANNEL)  # type: ignore[misc]
            )
            assert channel is not None
            secrets[name] = channel.secret
    finally:
        services.close()
    found = Fleet(
        url=url,
        folder=folder,
        sandbox=sandbox,
        secrets=secrets,
        environment={
            "HUB_DATA_DIRECTORY": str(data),
            "HUB_DATABASE_URL": url,
            "HUB_SECRET_KEY": KEY,
            "HUB_LOG_LEVEL": "info",
            **environment,
        },
    )
    try:
        yield found
    finally:
        for process in reversed(found.processes):
            process.end()
