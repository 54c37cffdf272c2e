"""A copy of the databases while the hub runs: of SQLite's files, of a PostgreSQL by its own ``pg_dump``."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
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
    unfinished = target / "hub.dump.part"
    done = subprocess.run(  # noqa: S603 - the program is PostgreSQL's own
        # who is alive is nothing to restore
        [program, "--format=custom", "--exclude-table-data=hub_process", f"--file={unfinished}", where],
        env={**os.environ, "PGPASSWORD": str(url.password or "")},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        unfinished.unlink(missing_ok=True)
        raise ConfigurationError(f"pg_dump: {done.stderr.decode(errors='replace').strip()}", file=str(target))
    os.chmod(unfinished, 0o600)
    finished = target / "hub.dump"
    os.replace(unfinished, finished)
    return finished


def _copy(source: Path, target: Path) -> Path:
    if target.exists() and target.samefile(source):
        raise ConfigurationError("the copy would replace the database itself", file=str(target))
    unfinished = target.with_name(target.name + ".part")
    # what a copy that was killed left behind, its journal above all: it belongs to other pages
    for left in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        left.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
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
    os.chmod(unfinished, 0o600)
    os.replace(unfinished, target)
    return target
