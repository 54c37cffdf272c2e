"""Carries `widget/` into what is built, beside the code that packs it; all else stands in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWidget(build_py):
    """In a checkout the widget is found in its own folder, so that an editable installation copies nothing."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            carried = Path(self.build_lib) / "hub" / "widget_archive" / "tree"
            shutil.copytree(Path(__file__).parent / "widget", carried, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithWidget})
