"""What a rule is, and what it says when an archive breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.widget_archive.archive import Archive

__all__ = ["Fault", "Finding", "Rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One place that breaks a rule."""

    #: path inside the archive; "" means the archive itself
    file: str = ""
    #: counted from 1; None where a line says nothing (images, what is missing)
    line: int | None = None
    #: a sentence with the value that offends
    problem: str
    #: a sentence: what to do about it
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One requirement of the vendor, or of our own where the reason says so."""

    #: never changes: people and scripts refer to it
    name: str
    #: the requirement in one sentence
    says: str
    #: where the vendor says so
    source: str
    find: Callable[[Archive], Iterator[Fault]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule, and where it is broken."""

    rule: str
    fault: Fault

    @property
    def place(self) -> str:
        """``script.js:12``, ``images/logo.png``, or ``widget.zip`` for the archive itself."""
        file = self.fault.file or "widget.zip"
        return file if self.fault.line is None else f"{file}:{self.fault.line}"
