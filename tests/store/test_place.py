"""Where one of several processes of a machine keeps its files (H9)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.compose import build_services
from hub.errors import ConfigurationError
from hub.settings import Settings
from hub.store.place import take_place


def test_each_process_takes_the_first_place_that_is_free(tmp_path: Path) -> None:
    """H9: what a process left there is found by the one that comes after it."""
    first, second, web = (take_place(tmp_path, role) for role in ("worker", "worker", "web"))
    assert [first.name, second.name, web.name] == ["worker-1", "worker-2", "web-1"]
    first.leave()
    again = take_place(tmp_path, "worker")
    assert again.name == "worker-1"
    for place in (second, web, again):
        place.leave()


def test_the_copy_of_the_directory_lies_in_the_place(tmp_path: Path) -> None:
    """H6, H9: HUB_DIRECTORY_PLACE."""
    settings = Settings(environment="development", data_directory=tmp_path, directory_place="worker-2")
    assert settings.directory_path == tmp_path / "worker-2" / "directory.db"


@pytest.mark.parametrize("names", ["the folder", "a link to it", "the file", "a link to the file"])
def test_a_second_hub_on_the_same_truth_does_not_begin(tmp_path: Path, names: str) -> None:
    """H3, H11: two would do everything twice, also where only the address of the file is the same by mistake."""
    mine = tmp_path / "mine"
    running = build_services(Settings(environment="development", data_directory=mine), is_running=True)
    (tmp_path / "linked").symlink_to(mine)
    (tmp_path / "linked.db").symlink_to(mine / "hub.db")
    folders = {"the folder": mine, "a link to it": tmp_path / "linked"}
    files = {"the file": mine / "hub.db", "a link to the file": tmp_path / "linked.db"}
    second = Settings(
        environment="development",
        data_directory=folders.get(names, tmp_path / "other"),
        database_url=f"sqlite:///{files[names]}" if names in files else "",
    )
    try:
        with pytest.raises(ConfigurationError, match="a hub is running"):
            build_services(second, is_running=True)
        # a command beside it is welcome
        build_services(second).close()
    finally:
        running.close()
    build_services(second, is_running=True).close()


def test_roles_are_refused_on_sqlite_with_the_way_out(tmp_path: Path) -> None:
    """H9, H11: one process is the whole hub there."""
    settings = Settings(environment="development", data_directory=tmp_path, role="worker")
    with pytest.raises(ConfigurationError, match="PostgreSQL") as caught:
        build_services(settings, is_running=True)
    assert caught.value.path == "HUB_ROLE"
    # without a role it is a hub
    build_services(settings.model_copy(update={"role": "all"}), is_running=True).close()


def test_a_hub_on_sqlite_loads_nothing_of_postgresql() -> None:
    """H9: neither the driver nor the queue is needed, or waited for at the start, where one process is the hub."""
    code = "import sys, hub.compose, hub.web.app; print([n for n in ('psycopg', 'procrastinate') if n in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
