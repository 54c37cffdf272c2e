"""``hub user``: who may use the console."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hub.commands.context import JsonOption, console, fail, opened, print_json, say, speaker
from hub.store import users
from hub.store.crypto import hash_password

__all__ = ["app"]

app = typer.Typer(help="Who may use the console.", no_args_is_help=True)

SHORTEST = 10


@app.command()
def add(
    login: str,
    role: Annotated[
        Literal["admin", "head"], typer.Option(help="Heads look and settle what waits; administrators set up.")
    ] = "head",
    language: Annotated[Literal["ru", "uk", "en"], typer.Option(help="Of the console.")] = "en",
    project: Annotated[
        list[str] | None,
        typer.Option(metavar="<str>", help="Only these projects, each with its own --project; left out: all."),
    ] = None,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="HUB_NEW_PASSWORD")
    ] = "",
) -> None:
    """Add a person who may log in.

    The password is asked for, or taken from HUB_NEW_PASSWORD.
    """
    if len(password) < SHORTEST:
        raise fail(f"the password needs at least {SHORTEST} characters")
    with opened() as services:
        now = services.clock.now()
        services.store.write_now(
            lambda conn: users.add_user(
                conn,
                login=login,
                password_hash=hash_password(password),
                role=role,
                now=now,
                projects=tuple(project or ()),
                language=language,
            )
        )
        say("{login} may log in at /console/ as {role}.", login=login, role=role)


@app.command(name="list")
def list_all(as_json: JsonOption = False) -> None:
    """Everybody who may log in."""
    with opened() as services:
        found = services.store.read_now(users.list_users)
        if as_json:
            print_json([{"login": user.login, "role": user.role, "projects": list(user.projects)} for user in found])
            return
        for user in found:
            where = ", ".join(user.projects) or speaker().phrase("all projects")
            console.print(f"{user.login}  {user.role}  {where}", markup=False)
        if not found:
            say("Nobody yet: 'hub user add LOGIN --role admin'.")


@app.command()
def remove(login: str) -> None:
    """Take a person's access away at once."""
    with opened() as services:
        if not services.store.write_now(lambda conn: users.remove_user(conn, login)):
            raise fail(f"there is no user {login!r}")
        say("{login} may no longer log in.", login=login)
