"""Where one of several processes of a machine keeps its files: the copy of the directory, the spool (DESIGN 3).

Places are numbered; a process takes the first that is free and finds there what the one before it left. A lock on a
file ends with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place", "take_alone", "take_if_free", "take_place"]


@dataclass(slots=True)
class Place:
    """A place that is taken until it is left."""

    #: below the data directory
    name: str
    _locks: list[int]

    def leave(self) -> None:
        """Let another process have it; may be called twice."""
        while self._locks:
            os.close(self._locks.pop())


def take_place(data_directory: Path, role: str) -> Place:
    """The first free place of ``role``, made if need be. Raises OSError if the directory cannot be written."""
    for number in itertools.count(1):
        name = f"{role}-{number}"
        path = data_directory / name
        path.mkdir(parents=True, exist_ok=True)
        found = take_if_free(path)
        if found is not None:
            return found
    raise AssertionError("numbers do not end")


def take_alone(data_directory: Path, database: Path) -> Place | None:
    """The data directory and the SQLite file, wherever that lies; None if a process has either.

    Two hubs with directories of their own can be told one file by mistake: each would do everything once. Raises
    OSError if a directory cannot be written.
    """
    beside = database.resolve()
    for path in (data_directory, beside.parent):
        path.mkdir(parents=True, exist_ok=True)
    place = take_if_free(data_directory)
    if place is None:
        return None
    # not the file itself: closing it would let go what SQLite holds of it
    lock = _lock(beside.with_name(f"{beside.name}.lock"))
    if lock is None:
        place.leave()
        return None
    place._locks.append(lock)
    return place


def take_if_free(path: Path) -> Place | None:
    """The place at ``path``; None if a process has it. Raises OSError if the directory cannot be written."""
    lock = _lock(path / "lock")
    return None if lock is None else Place(path.name, [lock])


def _lock(file: Path) -> int | None:
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
