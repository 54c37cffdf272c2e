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

__all__ = ["Place", "take_if_free", "take_place"]


@dataclass(slots=True)
class Place:
    """A place that is taken until it is left."""

    #: below the data directory
    name: str
    _lock: int

    def leave(self) -> None:
        """Let another process have it; may be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


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


def take_if_free(path: Path) -> Place | None:
    """The place at ``path``; None if a process has it. Raises OSError if the directory cannot be written."""
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return Place(path.name, lock)
