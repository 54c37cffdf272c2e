"""Small widgets for the tests: a constructor, some callbacks, nothing else."""

from __future__ import annotations

from hub.widget_archive import Archive
from tests.widget_archive import sample

__all__ = ["PLAIN", "widget"]

PLAIN = "render: () => true, init: () => true, bind_actions: () => true, destroy: () => true"


def widget(body: str = "", *, callbacks: str = PLAIN, once: bool = True, version: str = "1.0.0") -> Archive:
    """A small widget with ``body`` in its constructor."""
    script = (
        "define(['jquery'], function ($) {\n'use strict';\nreturn function Widget() {\nconst self = this;\n"
        f"{body}\nthis.callbacks = {{ {callbacks} }};\nreturn this;\n}};\n}});\n"
    )
    manifest = sample.manifest()
    manifest["widget"] |= {"init_once": once, "version": version}
    return Archive(files=sample.good() | {"script.js": script.encode(), "manifest.json": sample.as_json(manifest)})
