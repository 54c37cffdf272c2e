"""How soon the hub is ready, and what it costs when nothing happens.

``python -m bench.idle [--quick]``; the last line is JSON: ``start_s`` from starting the process to the first answer
of /readyz, ``idle_share`` of one core with one project and its channel, ``resident_mb``.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.measure import Served, machine, make_company, quiet_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 40 s")
    quick = parser.parse_args().quick
    starts, seconds = (3, 8.0) if quick else (7, 60.0)
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory = Path(name)
        make_company(directory, 1000)
        took, used = [], []
        for number in range(starts):
            began = time.perf_counter()
            process, port = _start(directory)
            try:
                while not _is_ready(port):
                    time.sleep(0.005)
                took.append(time.perf_counter() - began)
                served = Served(process.pid, port)
                used.append(served.cpu_seconds())
                if number == starts - 1:
                    time.sleep(1)
                    before, since = served.cpu_seconds(), time.perf_counter()
                    time.sleep(seconds)
                    share = (served.cpu_seconds() - before) / (time.perf_counter() - since)
                    resident = _resident_mb(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    start = statistics.median(took)
    print(f"ready after {start:.2f} s ({statistics.median(used):.2f} s of a processor)")
    print(f"idle: {share:.2%} of a core, {resident:.0f} MB resident")
    print(f"measured on {machine()}")
    print(quiet_json(start_s=start, start_cpu_s=statistics.median(used), idle_share=share, resident_mb=resident))


def _start(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """``hub run`` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hub", "run", "--port", "0"],
        env={**os.environ, "HUB_ENVIRONMENT": "development", "HUB_DATA_DIRECTORY": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://[^:]+:(\d+)", line)
    if found is None:
        raise RuntimeError(f"the hub did not start: {line!r}")
    return process, int(found[1])


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


if __name__ == "__main__":
    main()
