"""Two plugins as ``hub plugin new`` writes them: sound ones, for the tests to break."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.testing.check import NotConforming
from hub.testing.conformance import stage_of, trials

#: a module of a scaffolded plugin by its name
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """The channel ``kea`` and the CRM ``macaw``."""
    folders = []
    for name, kind in (("kea", "source"), ("macaw", "sink")):
        folder = tmp_path_factory.mktemp("scaffold") / name
        done = CliRunner().invoke(app, ["plugin", "new", name, "--kind", kind, "--directory", str(folder)])
        assert done.exit_code == 0, done.output
        folders.append(str(folder))
    sys.path[:0] = folders
    yield importlib.import_module
    for path in folders:
        sys.path.remove(path)
    for module in [name for name in sys.modules if name.split(".")[0] in ("hub_kea", "hub_macaw")]:
        del sys.modules[module]


def problem_of(outfit: Any, expectation: str, stage: Any = None) -> str:
    """What the kit says about ``expectation``; fails if it finds nothing."""
    [trial] = [one for one in trials(outfit) if one.name == expectation]
    if stage is None:
        with stage_of(outfit) as served:
            return _said(trial, served)
    return _said(trial, stage)


def _said(trial: Any, stage: Any) -> str:
    with pytest.raises(NotConforming) as caught:
        trial.run(stage)
    return str(caught.value)


@pytest.fixture
def told() -> Callable[..., str]:
    """`problem_of`, for tests that have no import of this file."""
    return problem_of
