"""``hub db``: how the database is, bringing it up to date, and moving it to another one (H9)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from hub.commands.context import Exit, JsonOption, console, fail, print_json, say, speaker
from hub.errors import ConfigurationError
from hub.settings import Settings, load_settings
from hub.store import directory_moving, inspection, moving
from hub.store.engine import Store
from hub.store.migrations import MIGRATIONS
from hub.store.place import take_alone

__all__ = ["app"]

app = typer.Typer(help="The database: how it is, its migrations, moving it.", no_args_is_help=True)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Engine, version, size, rows; whether it fits this hub.

    Changes nothing.
    """
    with _told():
        found = inspection.look(load_settings().database)
    if as_json:
        print_json(asdict(found))
    else:
        console.print(f"{found.engine} {found.version}: {found.address}, {_size(found.size)}", highlight=False)
        table = Table(speaker().phrase("table"), speaker().phrase("rows"), box=None)
        for name, rows in found.rows.items():
            table.add_row(name, f"{rows:,}")
        console.print(table)
        if not found.applied:
            say("There is no hub in it yet: 'hub db migrate' or the first start makes its tables.")
        elif found.pending:
            said = "Not up to date: {pending}. 'hub db migrate' or the next start does it."
            say(said, pending=", ".join(found.pending))
        else:
            say("Up to date.")
    if found.pending:
        raise typer.Exit(int(Exit.FOUND))


@app.command()
def migrate(as_json: JsonOption = False) -> None:
    """Bring the database up to date now.

    The hub does the same when it starts.
    """
    with _told():
        url = load_settings().database
        missing = inspection.look(url).pending if inspection.exists(url) else [fn.__name__ for fn in MIGRATIONS]
        with Store(url):
            pass
    if as_json:
        print_json({"ran": list(missing)})
    elif missing:
        say("Done: {names}.", names=", ".join(missing))
    else:
        say("Nothing to do.")


@app.command()
def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            envvar="HUB_COPY_TO",
            help="Where to: postgresql://user:password@host/database, or sqlite:///…; - asks for it, or reads it from"
            " standard input, so that no list of processes shows the password.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Copy a hub that stands still into an empty database.

    Everything is counted and compared there.

    All or nothing. Secrets stay encrypted: keep HUB_SECRET_KEY. Afterwards set HUB_DATABASE_URL to the new address.
    """
    with _told():
        settings = load_settings()
        target = _address(_asked() if to == "-" else to)
        if target == settings.database:
            raise ConfigurationError("this is the database that is to be copied", path="--to")
        if settings.database.get_backend_name() == "sqlite" and not inspection.exists(settings.database):
            raise ConfigurationError(f"there is no database at {settings.database.database}", path="HUB_DATABASE_URL")
        began = monotonic()
        with _at_rest(settings), Store(settings.database) as source, Store(target) as there:
            if not as_json:
                console.print(f"{_shown(source.url)} -> {_shown(target)}", highlight=False)
            records = directory_moving.move(settings.directory_path, there)
            moved = moving.move(source, there)
        seconds = round(monotonic() - began, 1)
    if as_json:
        tables = [asdict(one) for one in moved]
        told = {"from": _shown(source.url), "to": _shown(target), "seconds": seconds, "directory_records": records}
        print_json({**told, "rows": sum(one.rows for one in moved), "tables": tables})
        return
    table = Table(*map(speaker().phrase, ("table", "rows", "hash on both sides")), box=None)
    for one in moved:
        table.add_row(one.table, f"{one.rows:,}", one.digest[:16])
    console.print(table)
    rows = sum(one.rows for one in moved)
    say("{rows} rows in {seconds} s: counts and hashes are the same.", rows=f"{rows:,}", seconds=seconds)
    say("Of the CRMs' records {records} were copied too.", records=f"{records:,}")
    say("Now set HUB_DATABASE_URL={address} (with the password) and start the hub.", address=_shown(target))


@contextmanager
def _at_rest(settings: Settings) -> Iterator[None]:
    """No hub runs on the database that is copied: what it took in meanwhile would be lost."""
    if settings.database.get_backend_name() == "sqlite":
        place = take_alone(settings.data_directory, Path(settings.database.database or ""))
        if place is None:
            raise ConfigurationError("a hub is running on this database: stop it first")
        try:
            yield
        finally:
            place.leave()
        return
    running = inspection.running(settings.database)
    if running:
        raise ConfigurationError(f"processes of the hub are running on this database ({running}): stop them first")
    yield


def _asked() -> str:
    """The address as somebody types it, unseen, or as the first line of what is piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt("Address of the new database", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _address(text: str) -> URL:
    # the message must not repeat the address: it may hold a password
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationError("this is not a database address", path="--to") from None
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise ConfigurationError("give postgresql://user:password@host/database or sqlite:///file", path="--to")
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def _shown(url: URL) -> str:
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]  # whole bytes are counted, parts of a GB are shown
    raise AssertionError("there is always a unit")


@contextmanager
def _told() -> Iterator[None]:
    """Errors become one sentence and an exit status; a driver's own may name the address, so only its first line."""
    try:
        yield
    except ConfigurationError as err:
        raise fail(str(err)) from err
    except SQLAlchemyError as err:
        said: Any = getattr(err, "orig", None) or err
        raise fail(f"the database cannot be used: {str(said).strip().splitlines()[0]}", Exit.UNAVAILABLE) from err
