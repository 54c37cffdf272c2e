"""Building the archive and checking one, as people do: by the command (U1, U3)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hub
from hub.cli import app
from hub.commands import widget_archive as command
from hub.errors import ConfigurationError
from hub.widget_archive import RULES, pack_tree, packing, read_archive
from hub.widget_archive.drawing import render_png
from hub.widget_archive.image import read_size
from tests.widget_archive import sample

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}"><circle cx="40" cy="40" r="9" fill="red"/></svg>'
)
SIZES = {"logo_main": (400, 272), "logo": (130, 100), "logo_small": (108, 108), "logo_medium": (240, 84),
         "logo_min": (84, 84), "tour_1": (1188, 616)}  # fmt: skip


def planted(folder: Path) -> Path:
    """The sample widget as a tree: drawings instead of images, and what is for us alone."""
    for path, content in sample.good().items():
        if not path.startswith("images/"):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    (folder / "artwork").mkdir()
    for name, size in SIZES.items():
        (folder / "artwork" / f"{name}.svg").write_text(DRAWING.format(*size), encoding="utf-8")
    (folder / "README.md").write_text("for us\n", encoding="utf-8")
    (folder / ".hidden").write_text("for nobody\n", encoding="utf-8")
    return folder


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["widget", *words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    planted(tmp_path / "widget")
    monkeypatch.setattr(command, "find_tree", lambda: tmp_path / "widget")
    return tmp_path / "widget"


def test_the_archive_holds_the_tree_with_drawings_rendered(tree: Path) -> None:
    archive = read_archive(pack_tree(tree))
    assert set(archive.files) == set(sample.good())
    for name, size in SIZES.items():
        assert read_size(archive.files[f"images/{name}.png"]) == ("PNG", *size)


def test_the_same_tree_gives_the_same_bytes_wherever_it_lies(tree: Path, tmp_path: Path) -> None:
    again = planted(tmp_path / "elsewhere")
    (again / "script.js").touch()
    assert pack_tree(tree) == pack_tree(tree) == pack_tree(again)


def test_build_writes_an_archive_that_check_finds_good(tree: Path, tmp_path: Path) -> None:
    status, said = run("build", "--out", str(tmp_path))
    assert (status, "version 1.0.0" in said) == (0, True)
    assert run("check", str(tmp_path / "widget.zip")) == (0, f"all {len(RULES)} rules hold\n")
    assert not list(tmp_path.glob(".widget*"))


def test_what_breaks_a_rule_is_not_written_and_is_once_it_is_mended(tree: Path, tmp_path: Path) -> None:
    good = (tree / "script.js").read_text()
    (tree / "script.js").write_text(good.replace("return true;", "console.log(1);\n        return true;", 1))
    status, said = run("build", "--out", str(tmp_path))
    assert status == 1
    assert "script.js:10: writes to the console: console.log\n    take it out" in said
    assert "rule script-console: Nothing is written to the console." in said
    assert not (tmp_path / "widget.zip").exists()
    (tree / "script.js").write_text(good)
    assert run("build", "--out", str(tmp_path))[0] == 0


def test_a_program_reads_findings_as_json(tmp_path: Path) -> None:
    files = sample.good() | {"images/logo.png": sample.picture(1, 1)}
    (tmp_path / "widget.zip").write_bytes(sample.zipped(files))
    status, said = run("check", str(tmp_path / "widget.zip"), "--json")
    assert status == 1
    told = json.loads(said)
    assert (told["is_good"], told["version"], told["rules"]) == (False, "1.0.0", len(RULES))
    assert told["findings"] == [
        {
            "rule": "image-size",
            "file": "images/logo.png",
            "line": None,
            "problem": "it has 1 x 1 pixels",
            "mend": "draw it with 130 x 100",
        }
    ]


def test_build_tells_a_program_where_and_what(tree: Path, tmp_path: Path) -> None:
    status, said = run("build", "--out", str(tmp_path / "widget.zip"), "--json")
    told = json.loads(said)
    assert (status, told["is_good"], told["file"]) == (0, True, str(tmp_path / "widget.zip"))
    assert len(told["sha256"]) == 64


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("build", "--out", "hub.zip"), 2, "must be called widget.zip, not hub.zip"),
        (("build", "--out", "nowhere/widget.zip"), 3, "nowhere/widget.zip cannot be written: No such file"),
        (("check", "nowhere/widget.zip"), 2, "'hub widget build' makes one"),
    ],
)
def test_wrong_use_is_one_sentence_and_a_status(tree: Path, words: tuple[str, ...], status: int, sentence: str) -> None:
    found, said = run(*words)
    assert found == status
    assert sentence in " ".join(said.split())


@pytest.mark.parametrize(
    ("svg", "sentence"),
    [("<svg/>", "give the first element a width"), ('<svg width="5" height="5"><g', "cannot be rendered")],
)
def test_a_drawing_that_cannot_be_rendered_is_named(tree: Path, tmp_path: Path, svg: str, sentence: str) -> None:
    good = (tree / "artwork/logo.svg").read_text()
    (tree / "artwork/logo.svg").write_text(svg)
    status, said = run("build", "--out", str(tmp_path))
    assert status == 2
    assert "artwork/logo.svg" in said
    assert sentence in " ".join(said.split())
    (tree / "artwork/logo.svg").write_text(good)
    assert run("build", "--out", str(tmp_path))[0] == 0


def test_without_the_renderer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ConfigurationError, match="pip install resvg-py"):
        render_png(DRAWING.format(5, 5), "logo.svg")


def test_without_a_tree_it_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "hub" / "__init__.py"))
    with pytest.raises(ConfigurationError, match=str(tmp_path / "widget")):
        packing.find_tree()
