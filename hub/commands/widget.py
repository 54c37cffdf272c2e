"""``hub widget``: build the archive that is uploaded to amoCRM, and check one against the vendor's rules (U1, U3)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.commands.context import JsonOption, console, fail, opened, print_json, the_project
from hub.web.panel.link import find_panel, links_to_paste

__all__ = ["app"]

#: as `hub.widget_archive.ARCHIVE_NAME` has it, which other commands start without
_ARCHIVE = Path("widget.zip")

app = typer.Typer(help="The amoCRM widget: build its archive, check one.", no_args_is_help=True)


@app.command()
def build(
    out: Annotated[
        Path, typer.Option(help="Where to write it: a folder, or a path that ends in widget.zip.")
    ] = _ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    """Make widget.zip, ready to be uploaded to amoCRM.

    Nothing is written if it breaks one of amoCRM's rules.
    """
    from hub.commands.widget_archive import build as build_archive

    build_archive(out, as_json=as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The archive to look at.")] = _ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    """Say which of amoCRM's rules an archive breaks, and where.

    With what to do about each.
    """
    from hub.commands.widget_archive import check as check_archive

    check_archive(file, as_json=as_json)


@app.command()
def link(
    project: Annotated[str, typer.Argument(help="The project.")],
    connection: Annotated[str, typer.Argument(help="The connection of a CRM that frames pages: Zoho, RetailCRM.")],
    as_json: JsonOption = False,
) -> None:
    """Show the addresses of the hub's card, for a CRM to frame.

    For CRMs that show a page beside their own cards; the addresses are kept like passwords.
    """
    with opened() as services:
        panel = find_panel(services, the_project(services, project), connection)
        if panel is None:
            raise fail(f"{project} has no connection {connection!r} whose CRM shows pages of others")
        if not services.settings.public_url:
            raise fail("the hub's public address is not set: HUB_PUBLIC_URL")
        found = dict(links_to_paste(services, panel))
    if as_json:
        print_json(found)
        return
    for entity, address in found.items():
        console.print(f"{entity}: {address}", highlight=False, markup=False, soft_wrap=True)
