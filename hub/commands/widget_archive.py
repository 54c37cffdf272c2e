"""What ``hub widget build`` and ``hub widget check`` do; loaded when one of them is asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import typer

from hub.commands.context import Exit, console, fail, print_json, say, speaker
from hub.errors import ConfigurationError
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

__all__ = ["build", "check"]


def build(out: Path, *, as_json: bool) -> None:
    """Write the archive to ``out``, a folder or a path that ends in its name, if it breaks no rule."""
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


def check(file: Path, *, as_json: bool) -> None:
    """Say which rules the archive in ``file`` breaks."""
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
