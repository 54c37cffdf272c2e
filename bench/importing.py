"""An import that never ends, as the hub runs it: in a process of its own at the lowest priority (DESIGN 3).

``python -m bench.importing FILE`` says ``begun`` when its first page is in the file; `beside_import` begins and ends
it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import CRM, PROJECT, contact_of
from hub.core.records import Contact, Deal
from hub.ports import Changes
from hub.runtime.import_child import give_way
from hub.store.directory import Directory

__all__ = ["beside_import"]

#: contacts on one page of the vendor's list
PAGE = 250
#: beyond the numbers that are measured
FIRST = 5_000_000


@contextmanager
def beside_import(directory: Path) -> Iterator[None]:
    """An import that fills ``directory`` while inside, and has filled a page before: its start is no import."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.importing", str(directory / "directory.db")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    give_way(process.pid)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the import did not begin")
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    with Directory(Path(sys.argv[1])) as directory:
        number = FIRST
        while True:
            records = [record for offset in range(PAGE) for record in contact_of(number + offset)]
            directory.fold(
                PROJECT,
                CRM,
                Changes(
                    contacts=tuple(record for record in records if isinstance(record, Contact)),
                    deals=tuple(record for record in records if isinstance(record, Deal)),
                ),
                datetime.now(UTC),
            )
            if number == FIRST:
                print("begun", flush=True)
            number += PAGE


if __name__ == "__main__":
    main()
