"""What processes have used: processor time and memory, as Linux tells them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["open_files", "own_mb", "processor_seconds", "resident_mb", "tree"]

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of ``stat`` after the name: state, parent, ...; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """What the processes have used so far, with those of their children that have ended."""
    return sum(sum(int(field) for field in _stat(pid)[11:15]) for pid in pids) / _TICK


def resident_mb(pids: Iterable[int]) -> float:
    """Their memory; what several of them share is counted once."""
    return _rollup(pids, "Pss:")


def own_mb(pids: Iterable[int]) -> float:
    """What they have asked for themselves: neither files nor the buffers that a database server shares."""
    return _rollup(pids, "Pss_Anon:")


def _rollup(pids: Iterable[int], name: str) -> float:
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(name))
    return kilobytes / 1024


def open_files(pids: Iterable[int]) -> int:
    """How many files and connections they hold open."""
    found = 0
    for pid in pids:
        try:
            found += len(os.listdir(f"/proc/{pid}/fd"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
