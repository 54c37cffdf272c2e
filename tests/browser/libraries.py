"""What amoCRM's page gives to widgets, at the versions that it has: installed from npm, never copied into the tree."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

__all__ = ["library"]

HERE = Path(__file__).parent
#: name under ``/_lib/`` -> (package, file in it)
FILES = {
    "require.js": ("requirejs", "require.js"),
    "jquery.js": ("jquery", "dist/jquery.js"),
    "underscore.js": ("underscore", "underscore.js"),
    "backbone.js": ("backbone", "backbone.js"),
    "twig.js": ("twig", "twig.js"),
    "moment.js": ("moment", "moment.js"),
    "pubsub.js": ("pubsub-js", "src/pubsub.js"),
    "store.js": ("store", "store.js"),
}


@cache
def library(name: str) -> bytes:
    """The source of one library. Fails with what to type if it is missing or of another version."""
    package, file = FILES[name]
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"][package]
    folder = HERE / "node_modules" / package
    try:
        found = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        found = "none"
    if found != wanted:
        raise AssertionError(
            f"{package} {wanted} is needed, {found} is installed: run scripts/test, or npm install here"
        )
    return (folder / file).read_bytes()
