"""A copy of the databases while the hub runs: of SQLite's files, of a PostgreSQL by its own ``pg_dump``."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL

from hub.errors import ConfigurationError

__all__ = ["backup", "dump"]

#: pages per step: writers get their turn between steps
STEP = 512


def backup(files: Iterable[Path], target: Path) -> tuple[Path, ...]:
    """Copy each database of ``files`` that exists into the directory ``target``; the copies.

    Each copy is one consistent state and is checked before it gets its name; a copy that stands there is replaced.
    The key of the encrypted columns is not copied: it must be kept elsewhere. Raises ConfigurationError if a file
    is damaged or the target cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigurationError(f"cannot write there: {err.strerror}", file=str(target)) from err
    return tuple(_copy(file, target / file.name) for file in files if file.exists())


def dump(url: URL, target: Path) -> Path:
    """Write one consistent state of a PostgreSQL into the directory ``target``, for ``pg_restore``; the file.

    The key of the encrypted columns is not copied. Raises ConfigurationError with what to type where ``pg_dump`` is
    missing, and with its own words where it fails.
    """
    # without the password, which every user of the machine could see among its processes
    where = URL.create(
        "postgresql", url.username, host=url.host, port=url.port, database=url.database, query=url.query
    ).render_as_string()
    program = shutil.which("pg_dump")
    if program is None:
        raise ConfigurationError(
            "pg_dump is missing here: install PostgreSQL's client programs, or type where they are:"
            f" pg_dump --format=custom --exclude-table-data=hub_process --file=hub.dump {where}"
        )
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigurationError(f"cannot write there: {err.strerror}", file=str(target)) from err
    finished, unfinished = target / "hub.dump", target / "hub.dump.part"
    with _begun(unfinished) as lock:
        done = subprocess.run(  # noqa: S603 - the program is PostgreSQL's own
            # who is alive is nothing to restore
            [program, "--format=custom", "--exclude-table-data=hub_process", f"--file={unfinished}", where],
            env={**os.environ, "PGPASSWORD": str(url.password or "")},
            # it goes on when this command is killed: until then nobody else may write there
            pass_fds=(lock,),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            unfinished.unlink(missing_ok=True)
            raise ConfigurationError(f"pg_dump: {done.stderr.decode(errors='replace').strip()}", file=str(target))
        os.replace(unfinished, finished)
    return finished


def _copy(source: Path, target: Path) -> Path:
    if target.exists() and target.samefile(source):
        raise ConfigurationError("the copy would replace the database itself", file=str(target))
    unfinished = target.with_name(target.name + ".part")
    with _begun(unfinished):
        try:
            with (
                closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reader,
                closing(sqlite3.connect(unfinished)) as writer,
            ):
                reader.backup(writer, pages=STEP, sleep=0.01)
                writer.execute("PRAGMA journal_mode = DELETE")
                said = writer.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.Error as err:
            unfinished.unlink(missing_ok=True)
            raise ConfigurationError(f"could not be copied: {err}", file=str(source)) from err
        if said != "ok":
            unfinished.unlink()
            raise ConfigurationError(f"is damaged: {said}", file=str(source))
        os.replace(unfinished, target)
    return target


@contextmanager
def _begun(unfinished: Path) -> Iterator[int]:
    """The empty file ``unfinished``, which nobody else writes meanwhile; what holds it, for a child to hold it too.

    Raises ConfigurationError while another backup writes there, also one whose command was killed.
    """
    try:
        lock = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise ConfigurationError(f"cannot write there: {err.strerror}", file=str(unfinished)) from err
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # who had it until this very moment has given it its name
            is_ours = unfinished.exists() and os.path.samestat(unfinished.stat(), os.fstat(lock))
        except BlockingIOError:
            is_ours = False
        if not is_ours:
            raise ConfigurationError("another backup is being written there: wait for its end", file=str(unfinished))
        # what a copy that was killed left behind, its journal above all: it belongs to other pages
        os.ftruncate(lock, 0)
        for suffix in ("-journal", "-wal", "-shm"):
            unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
        os.fchmod(lock, 0o600)
        yield lock
    finally:
        os.close(lock)
