"""The tutorials do what they say: every file is written, every command is run, every quoted line is seen (X4, U3)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "crm-hub-parrot"
_BLOCK = re.compile(r"(?:`(?P<path>\w+/[\w./]+)`:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)\n```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; ``path`` if it is a file's whole text."""

    kind: str
    text: str
    path: str = ""


def blocks(page: str) -> list[Block]:
    text = (ROOT / "docs" / "plugins" / page).read_text(encoding="utf-8")
    return [Block(found["kind"], found["text"], found["path"] or "") for found in _BLOCK.finditer(text)]


class Author:
    """Somebody who types what the page says; what nobody can type offline is done by the test."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.said = ""
        self._patch = patch
        self._has_tested = False

    def type(self, line: str) -> None:
        self._patch.chdir(self.folder)
        match shlex.split(line):
            case ["cd", name]:
                self.folder /= name
                _install(self.folder)
                self._patch.syspath_prepend(str(self.folder))
            case ["pip", "install", "-e", _]:
                assert (self.folder / "pyproject.toml").exists()
            case ["hub", *words]:
                self.said = CliRunner().invoke(app, words).output
            case ["pytest"] if not self._has_tested:
                # that a new distribution passes its own tests is test_plugin_command's
                self._has_tested = True
            case ["pytest"]:
                # the kit's suites are run by `hub plugin check`, which follows
                self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not conformance"])
                assert "passed" in self.said, self.said
            case ["pytest", *words]:
                self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words])
            case ["sed", *words]:
                before = (self.folder / words[-1]).read_text(encoding="utf-8")
                subprocess.run(["sed", *words], cwd=self.folder, check=True)
                assert before != (self.folder / words[-1]).read_text(encoding="utf-8"), f"nothing changed: {line}"
            case other:
                raise AssertionError(f"the tutorial has a command that nobody runs: {other}")

    def _run(self, command: list[str]) -> None:
        path = os.pathsep.join((str(self.folder), str(ROOT)))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        self.said = done.stdout + done.stderr


def _install(folder: Path) -> None:
    """What ``pip install -e`` leaves behind for entry points: a distribution beside the package."""
    [package] = folder.glob("hub_*")
    name = package.name.removeprefix("hub_")
    info = folder / f"crm_hub_{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: crm-hub-{name}\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[hub]\n{name} = {package.name}\n", encoding="utf-8")


def follow(page: str, folder: Path, patch: pytest.MonkeyPatch) -> Author:
    author = Author(folder, patch)
    for block in blocks(page):
        if block.path:
            (author.folder / block.path).write_text(f"{block.text}\n", encoding="utf-8")
        elif block.kind == "sh":
            said = []
            for line in _commands(block.text):
                author.type(line)
                said.append(author.said)
            author.said = "\n".join(said)
        elif block.kind == "text":
            for line in block.text.splitlines():
                assert line in author.said, f"{page} promises {line!r}; it said:\n{author.said[-3000:]}"
    return author


def _commands(text: str) -> Iterator[str]:
    yield from (line.partition("  #")[0] for line in text.splitlines() if line.strip())


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a tutorial's plugin was imported as is forgotten afterwards."""
    yield
    for module in [name for name in sys.modules if name.split(".")[0] in ("hub_parrot", "hub_lory")]:
        del sys.modules[module]


def test_the_channel_of_the_tutorial_is_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    author = follow("tutorial-source.md", tmp_path, monkeypatch)
    for block in blocks("tutorial-source.md"):
        if block.path:
            assert (author.folder / block.path).read_bytes() == (EXAMPLE / block.path).read_bytes(), block.path
    theirs = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*.py")}
    ours = {str(path.relative_to(author.folder)) for path in author.folder.rglob("*.py")}
    assert theirs == ours


def test_the_crm_of_the_tutorial_ends_in_conformance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial-crm.md", tmp_path, monkeypatch)


@pytest.mark.parametrize("page", ["tutorial-source.md", "tutorial-crm.md"])
def test_a_tutorial_promises_what_it_shows(page: str) -> None:
    """Each page has commands and promises, or `follow` would prove nothing."""
    kinds = [block.kind for block in blocks(page)]
    assert kinds.count("sh") >= 3
    assert kinds.count("text") >= 3
