"""Images of the archive, rendered from the drawings in ``artwork/``."""

from __future__ import annotations

import importlib
import re

from hub.errors import ConfigurationError

__all__ = ["render_png"]

_SIZE = re.compile(r"<svg\b[^>]*?\bwidth=\"(?P<width>\d+)\"[^>]*?\bheight=\"(?P<height>\d+)\"")


def render_png(svg: str, name: str) -> bytes:
    """The drawing as PNG in the size that its first element gives, the same bytes each time.

    Fonts of the machine are not looked at, so that it looks alike everywhere: letters are drawn as shapes.
    Raises ConfigurationError naming the drawing if it cannot be rendered, or what to install.
    """
    size = _SIZE.search(svg)
    if size is None:
        raise ConfigurationError(f"artwork/{name}: give the first element a width and a height in pixels")
    try:
        renderer = importlib.import_module("resvg_py")
    except ImportError as err:
        raise ConfigurationError(
            "the widget's images are rendered by the package resvg-py, which is not installed: pip install resvg-py"
        ) from err
    try:
        return bytes(renderer.svg_to_bytes(svg_string=svg, skip_system_fonts=True))
    except ValueError as err:
        raise ConfigurationError(f"artwork/{name} cannot be rendered: {err}") from err
