"""A policy's file as an editor left it: in UTF-8, with or without the mark that some put before it (H11)."""

from __future__ import annotations

import codecs
from pathlib import Path

from hub.errors import ConfigurationError

__all__ = ["read_policy"]


def read_policy(file: Path) -> str:
    """What ``file`` says. Raises ConfigurationError, with the line, if it cannot be opened or is not in UTF-8."""
    try:
        told = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as err:
        raise ConfigurationError(f"it cannot be read: {err.strerror or err}", file=str(file)) from err
    try:
        return told.decode("utf-8")
    except UnicodeDecodeError as err:
        line = told.count(b"\n", 0, err.start) + 1
        raise ConfigurationError(
            "this is not in UTF-8: have your editor save it so", file=str(file), line=line
        ) from None
