"""The picture of who may import whom stays true without anyone remembering it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 500


def test_import_contracts_hold() -> None:
    """STYLE of the house: layers, no plugin in the host, no I/O in the core, honest sandboxes."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_file_needs_a_table_of_contents() -> None:
    """A file that grows past five hundred lines is split along a noun."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.js"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    long = {
        name: lines
        for name in listed
        if (ROOT / name).exists() and (lines := len((ROOT / name).read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_nobody_but_the_system_clock_reads_the_time() -> None:
    """`now` is passed in, so that decisions can be repeated and tests never wait (sandboxes have their own clock)."""
    guilty = []
    for path in [*ROOT.glob("hub/**/*.py"), *ROOT.glob("plugins/*/hub_*/**/*.py")]:
        if "sandbox" in path.parts or path.name == "clock.py":
            continue
        text = path.read_text(encoding="utf-8")
        guilty += [f"{path.relative_to(ROOT)}: {word}" for word in ("datetime.now(", "time.time(") if word in text]
    assert guilty == []
