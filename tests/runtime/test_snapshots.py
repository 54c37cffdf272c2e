"""When absence from the directory means absence from the CRM (DESIGN 3, 5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.engine.projects import LiveConnection
from hub.engine.snapshots import is_imported
from hub.store.directory import Directory
from hub.store.projects import CrmConnection, Status
from hub.testing.builders import NOW


def connection(*, is_imported: bool) -> LiveConnection:
    row = CrmConnection(
        project="p", name="crm", sink="amocrm", settings={}, secret="", status=Status.READY, status_reason="",
        status_at=None, catalogue=None, catalogue_at=None, feed_cursor="", feed_at=None, import_cursor="",
        import_progress=0, imported_at=NOW if is_imported else None, created_at=NOW,
    )  # fmt: skip
    return LiveConnection(row=row)


@pytest.mark.parametrize(
    ("told", "marked", "holds"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
    ids=["imported", "into a file that was lost since", "forgotten on purpose", "never"],
)
def test_the_directory_is_complete_only_if_the_import_went_into_this_very_file(
    tmp_path: Path, told: bool, marked: bool, holds: bool
) -> None:
    """Timers and decisions ask the same."""
    with Directory(tmp_path / "directory.db") as directory:
        if marked:
            directory.set_mark("p", "crm", "imported", NOW.isoformat())
        assert is_imported(directory, "p", connection(is_imported=told)) is holds
