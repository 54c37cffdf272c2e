"""``hub widget``: build the archive that is uploaded to amoCRM, and check one against the vendor's rules (U1, U3)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from hub.commands.context import Exit, JsonOption, console, fail, opened, print_json, say, speaker, the_project
from hub.errors import ConfigurationError
from hub.web.panel.link import find_panel, links_to_paste
from hub.widget_archive import (
    ARCHIVE_NAME,
    RULES,
    Archive,
    Finding,
    check_archive,
    find_tree,
    pack_tree,
    read_archive,
    write_archive,
)

__all__ = ["app"]

app = typer.Typer(help="The amoCRM widget: build its archive, check one.", no_args_is_help=True)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Where to write it: a folder, or a path that ends in widget.zip.")] = Path(
        ARCHIVE_NAME
    ),
    as_json: JsonOption = False,
) -> None:
    """Make widget.zip, ready to be uploaded to amoCRM.

    Nothing is written if it breaks one of amoCRM's rules.
    """
    if not out.is_dir() and out.name != ARCHIVE_NAME:
        raise fail(f"the archive must be called {ARCHIVE_NAME}, not {out.name}: amoCRM takes no other name")
    try:
        content = pack_tree(find_tree())
    except ConfigurationError as err:
        raise fail(str(err)) from err
    archive = read_archive(content)
    findings = check_archive(archive)
    if findings:
        _tell(archive, findings, as_json=as_json)
        raise typer.Exit(int(Exit.FOUND))
    try:
        written = write_archive(content, out)
    except OSError as err:
        raise fail(f"{out} cannot be written: {err.strerror or err}", Exit.UNAVAILABLE) from err
    if as_json:
        print_json(_summary(archive, findings) | {"file": str(written), "sha256": hashlib.sha256(content).hexdigest()})
        return
    say(
        "{file}: version {version}, {files} files, {bytes} bytes; all {rules} rules hold",
        file=written,
        version=archive.widget.get("version"),
        files=len(archive.files),
        bytes=f"{len(content):,}",
        rules=len(RULES),
    )


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The archive to look at.")] = Path(ARCHIVE_NAME),
    as_json: JsonOption = False,
) -> None:
    """Say which of amoCRM's rules an archive breaks, and where.

    With what to do about each.
    """
    try:
        content = file.read_bytes()
    except OSError as err:
        raise fail(f"{file} cannot be read: {err.strerror or err}; 'hub widget build' makes one") from err
    archive = read_archive(content, file.name)
    findings = check_archive(archive)
    _tell(archive, findings, as_json=as_json)
    if findings:
        raise typer.Exit(int(Exit.FOUND))


def _tell(archive: Archive, findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json(_summary(archive, findings))
        return
    said = {rule.name: rule.says for rule in RULES}
    for finding in findings:
        console.print(f"{finding.place}: {finding.fault.problem}", highlight=False, markup=False)
        console.print(f"    {finding.fault.mend}", highlight=False, markup=False)
        console.print(f"    rule {finding.rule}: {said[finding.rule]}", highlight=False, markup=False, style="dim")
    broken = len({finding.rule for finding in findings})
    if findings:
        places = "1 place" if len(findings) == 1 else f"{len(findings)} places"
        told = "{broken} of {rules} rules broken, in {places}"
        say(told, broken=broken, rules=len(RULES), places=speaker().theirs(places))
    else:
        say("all {rules} rules hold", rules=len(RULES))


def _summary(archive: Archive, findings: list[Finding]) -> dict[str, object]:
    return {
        "is_good": not findings,
        "version": archive.widget.get("version"),
        "files": len(archive.files),
        "rules": len(RULES),
        "findings": [
            {
                "rule": finding.rule,
                "file": finding.fault.file,
                "line": finding.fault.line,
                "problem": finding.fault.problem,
                "mend": finding.fault.mend,
            }
            for finding in findings
        ],
    }


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
