"""An import that never ends, as the hub runs it: in a process of its own at the lowest priority (DESIGN 3)."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import CRM, PROJECT, contact_of
from hub.core.records import Contact, Deal
from hub.ports import Changes
from hub.store.directory import Directory

#: contacts on one page of the vendor's list
PAGE = 250


def main() -> None:
    os.nice(19)
    with Directory(Path(sys.argv[1])) as directory:
        number = 5_000_000
        while True:
            records = [record for offset in range(PAGE) for record in contact_of(number + offset)]
            number += PAGE
            directory.fold(
                PROJECT,
                CRM,
                Changes(
                    contacts=tuple(record for record in records if isinstance(record, Contact)),
                    deals=tuple(record for record in records if isinstance(record, Deal)),
                ),
                datetime.now(UTC),
            )


if __name__ == "__main__":
    main()
