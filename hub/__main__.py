"""The ``hub`` command's way in, and ``python -m hub``.

A start makes tens of thousands of objects that stay: looking through them for garbage on the way is a seventh of its
time (DESIGN 11), and looking through them ever again finds nothing.
"""

from __future__ import annotations

import gc

__all__ = ["main"]


def main() -> None:
    """The command line; see `hub.cli`."""
    gc.disable()
    from hub.cli import main as run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
