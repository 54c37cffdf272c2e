"""What every command needs: settings, opened services, a console for people, JSON for programs, exit codes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DatabaseError, OperationalError

from hub.compose import build_services
from hub.engine.directory_copies import DirectoryCopies
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError, HubError
from hub.language import LANGUAGES, Translator, translator
from hub.runtime.services import Services
from hub.settings import load_settings, spoken_language
from hub.store.engine import problem_of

__all__ = [
    "Exit",
    "JsonOption",
    "LanguageOption",
    "ProjectOption",
    "bring_directory",
    "console",
    "copies_of",
    "fail",
    "no_folder",
    "opened",
    "print_json",
    "say",
    "speaker",
    "the_project",
    "unusable",
]

#: for people; results that a program may read go to standard output alone
console = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
ProjectOption = Annotated[str, typer.Option("--project", "-p", help="Which project; may be left out if there is one.")]


def _language(chosen: str) -> str:
    if chosen and chosen not in LANGUAGES:
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(LANGUAGES)}")
    return chosen or spoken_language()


#: "" is never seen by a command: it gets the language that the command line speaks
LanguageOption = Annotated[
    str,
    typer.Option(
        callback=_language,
        metavar="[ru|uk|en]",
        show_default=False,
        help="Of the text; default: HUB_LANGUAGE, else the machine's.",
    ),
]

T = TypeVar("T")


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    #: something was found that a person has to mend
    FOUND = 1
    #: the command was used wrongly, or the configuration cannot be used
    USAGE = 2
    #: a vendor or the database could not be reached
    UNAVAILABLE = 3


def speaker() -> Translator:
    """What says things in the command line's language: HUB_LANGUAGE, else the machine's (U4)."""
    return translator(spoken_language())


def say(text: str, /, *, lead: str = "", style: str = "", **values: object) -> None:
    """Print our English ``text``, places filled, in the command line's language.

    With a ``lead`` before it, a word or two, only that is in ``style``.
    """
    t = speaker()
    said = escape(t.phrase(text, **values))
    if lead:
        said, style = f"[{style}]{escape(t.phrase(lead))}[/{style}] {said}", ""
    console.print(said, style=style, highlight=False)


def fail(problem: str, code: Exit = Exit.USAGE) -> typer.Exit:
    """Say ``problem`` on standard error, in the command line's language; raise what this returns."""
    t = speaker()
    errors.print(f"[red]{t.phrase('error')}[/red] {escape(t.theirs(problem))}", highlight=False)
    return typer.Exit(int(code))


@contextmanager
def opened() -> Iterator[Services]:
    """The services of this machine's hub, closed afterwards; errors become one sentence and an exit status."""
    try:
        services = build_services(load_settings())
    except ConfigurationError as err:
        raise fail(str(err)) from err
    except DatabaseError as err:
        raise fail(unusable(err), Exit.UNAVAILABLE) from err
    except OSError as err:
        raise fail(no_folder(err)) from err
    try:
        yield services
    except ConfigurationError as err:
        raise fail(str(err)) from err
    except HubError as err:
        raise fail(str(err), Exit.UNAVAILABLE) from err
    except DatabaseError as err:
        raise fail(unusable(err), Exit.UNAVAILABLE) from err
    finally:
        services.close()


def unusable(err: DatabaseError) -> str:
    """What is wrong with the database, without a statement and its values."""
    what = "cannot be reached" if isinstance(err, OperationalError) else "cannot be used"
    return f"the database {what}: {problem_of(err)}"


def no_folder(err: OSError) -> str:
    """Why nothing can be kept where the hub is told to: a file stands there, it is closed to us, the disk is full."""
    return f"HUB_DATA_DIRECTORY: it cannot be used: {err}"


def the_project(services: Services, name: str) -> str:
    """The project called ``name``, or the only one there is."""
    if name:
        return services.projects.get(name).name
    known = [project.name for project in services.projects.all()]
    if len(known) == 1:
        return known[0]
    if not known:
        raise ConfigurationError("there is no project yet: run 'hub setup' first")
    raise ConfigurationError(f"there are several projects, say which with --project: {', '.join(known)}")


def bring_directory(services: Services, project: LiveProject) -> None:
    """Have the CRMs' records of the project here, as the hub knows them now.

    On SQLite the hub's own file is read. On PostgreSQL they lie in the database: the first time on a machine all of
    them are copied, then what changed since (H9). A copy that ``HUB_DIRECTORY_PLACE`` names is a process's own.
    """
    if not services.store.is_sqlite and not services.settings.directory_place:
        asyncio.run(_copied(services, project))


async def _copied(services: Services, project: LiveProject) -> None:
    copies = copies_of(services)
    for connection in project.connections:
        fields = frozenset(field for known in connection.key_field_ids.values() for field in known)
        services.directory.set_key_fields(project.name, connection.name, fields)
        await copies.own(project.name, connection.name)


def copies_of(services: Services) -> DirectoryCopies:
    """The copy that commands of this machine share, on PostgreSQL."""
    return DirectoryCopies(services.store, services.projects, services.directory, services.clock, ring=lambda: None)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def quietly(run: Callable[[], T]) -> T:
    """Run ``run``; Ctrl+C ends the command without a traceback."""
    try:
        return run()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
