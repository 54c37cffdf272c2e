"""A command of the hub as a process of its own, killed (SIGKILL) when it calls a function for the nth time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Death", "kill_command"]

_PROGRAM = """
import os, signal, sys
from importlib import import_module

module, path, nth, page, *words = sys.argv[1:]
if int(page):
    import_module("hub.runtime.replay").PAGE = int(page)
*owners, name = path.split(".")
owner = import_module(module)
for one in owners:
    owner = getattr(owner, one)
called, calls = getattr(owner, name), 0

def die(*args, **more):
    global calls
    calls += 1
    if calls == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return called(*args, **more)

setattr(owner, name, die)
sys.argv = ["hub", *words]
from hub.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Death:
    """When the command dies: as it calls ``path`` of ``module`` for the ``nth`` time."""

    module: str
    path: str
    nth: int = 1
    #: how many a replay opens in one go, 0 = as it is
    page: int = 0

    def __str__(self) -> str:
        return f"{self.module.rpartition('.')[2]}.{self.path} {self.nth}"


def kill_command(words: Sequence[str], death: Death, data_directory: Path) -> None:
    """Run ``hub words`` until ``death``; fails if it comes to an end before."""
    environment = {
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIRECTORY": str(data_directory),
        **{name: value for name, value in os.environ.items() if not name.startswith("HUB_") or "URL" in name},
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, death.module, death.path, str(death.nth), str(death.page), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stdout, done.stderr)
