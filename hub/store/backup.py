"""A copy of the SQLite files while the hub runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from hub.errors import ConfigurationError

__all__ = ["backup"]

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


def _copy(source: Path, target: Path) -> Path:
    if target.exists() and target.samefile(source):
        raise ConfigurationError("the copy would replace the database itself", file=str(target))
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
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
