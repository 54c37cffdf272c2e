"""The amoCRM widget as an archive: packing `widget/`, and the vendor's rules for what such an archive may hold.

Every rule stands in one table, `hub.widget_archive.table.RULES`; the sections cited there are the vendor's pages.
"""

from hub.widget_archive.archive import ARCHIVE_NAME, Archive, read_archive
from hub.widget_archive.finding import Fault, Finding, Rule
from hub.widget_archive.packing import build_archive, find_tree, pack_tree, write_archive
from hub.widget_archive.table import RULES, check_archive

__all__ = [
    "ARCHIVE_NAME",
    "RULES",
    "Archive",
    "Fault",
    "Finding",
    "Rule",
    "build_archive",
    "check_archive",
    "find_tree",
    "pack_tree",
    "read_archive",
    "write_archive",
]
