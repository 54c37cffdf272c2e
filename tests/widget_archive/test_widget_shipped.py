"""The widget of this repository as people get it: it breaks no rule, and comes with the wheel (U1, U3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hub.widget_archive import build_archive, check_archive, pack_tree

ROOT = Path(__file__).parents[2]


def test_the_widget_of_this_repository_breaks_no_rule() -> None:
    archive = build_archive()
    assert [(one.rule, one.place, one.fault.problem) for one in check_archive(archive)] == []
    assert {"manifest.json", "script.js", "i18n/ru.json", "i18n/en.json"} <= set(archive.files)


def test_it_builds_where_only_the_distribution_is_installed(tmp_path: Path) -> None:
    """What `pip install` would put there is laid out alone; the checkout is out of reach."""
    laid = tmp_path / "laid"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", str(tmp_path / "base"), "--build-lib", str(laid)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    words = f"import sys; sys.path.insert(0, {str(laid)!r}); import hub; assert hub.__file__.startswith({str(laid)!r})"
    words += "; from hub.cli import main; sys.argv = ['hub', 'widget', 'build']; main()"
    found = subprocess.run([sys.executable, "-I", "-c", words], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert (tmp_path / "widget.zip").read_bytes() == pack_tree(ROOT / "widget")
