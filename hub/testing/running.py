"""``hub run`` as people start it: processes of their own, for tests of several of them and for measurements (H9)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process"]

#: seconds for an end in order
_PATIENCE = 30


@dataclass(slots=True)
class Process:
    """One ``hub run``; ``port`` is known once it serves."""

    role: str
    running: subprocess.Popen[str]
    log: Path
    port: int = 0

    @classmethod
    def start(cls, role: str, *, log: Path, environment: Mapping[str, str], port: str = "0") -> Process:
        """``hub run --role …``, on any free port unless told; `await_served` waits for it.

        Beside ``environment`` it has where programs are found, and nothing else.
        """
        command = [sys.executable, "-c", "from hub.cli import main; main()", "run", "--role", role, "--port", port]
        settings = {"PATH": os.environ["PATH"], "HUB_ENVIRONMENT": "development", **environment}
        with log.open("w") as errors:
            running = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603 - our own words
        return cls(role, running, log)

    def await_served(self) -> None:
        """Wait until it says where it serves. Raises RuntimeError with what it said otherwise; it is ended then."""
        assert self.running.stdout is not None
        line = self.running.stdout.readline()
        found = re.search(r"http://[^:]+:(\d+)", line)
        if found is None:
            self.kill()
            raise RuntimeError(f"{self.role} did not start: {line} {self.log.read_text()[-3000:]}")
        self.port = int(found[1])

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it, by itself or by us."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def says(self, action: str) -> bool:
        """Whether its log has a line of ``action``."""
        return f'"action": "{action}"' in self.log.read_text()

    def last_words(self) -> str:
        """The end of its log, each line in short."""
        return "\n".join(line[:400] for line in self.log.read_text().splitlines()[-40:])

    def kill(self) -> None:
        """SIGKILL: nothing gets the chance to tidy up."""
        self.running.kill()
        self.running.wait(_PATIENCE)
        self._close()

    def stop(self) -> None:
        """SIGSTOP: it lives, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM, as a rolling restart does."""
        if self.running.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.go_on()
            self.running.terminate()
            try:
                self.running.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.running.kill()
        self.running.wait(_PATIENCE)
        self._close()

    def _close(self) -> None:
        assert self.running.stdout is not None
        self.running.stdout.close()
