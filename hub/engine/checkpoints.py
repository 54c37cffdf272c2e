"""Named moments between durable steps, where tests kill the process (X5).

In production `checkpoint` costs one dictionary look-up. A test process sets ``HUB_CRASH_AT=name[:n]`` and is killed
with SIGKILL the ``n``-th time (default first) that the moment is reached; nothing gets the chance to tidy up.
``HUB_CRASH_SIGNAL=STOP`` stops it there instead, as a machine that hangs would, until somebody lets it go on.
"""

from __future__ import annotations

import os
import signal

__all__ = ["CHECKPOINTS", "checkpoint"]

#: every moment at which a crash must lose and double nothing; the crash test is parametrised over it
CHECKPOINTS = (
    "inbox.stored",
    "ingest.parsed",
    "ingest.stored",
    "advance.decided",
    "advance.stored",
    "writer.barrier_read",
    "writer.marked_sent",
    "writer.answered",
    "writer.folded",
    "writer.stored",
    "doubt.checked",
    "doubt.stored",
)

_name, _, _count = os.environ.get("HUB_CRASH_AT", "").partition(":")
_signal = signal.Signals[f"SIG{os.environ.get('HUB_CRASH_SIGNAL', 'KILL')}"]
_left = {_name: int(_count or 1)} if _name else {}


def checkpoint(name: str) -> None:
    """Pass the moment ``name``; does nothing unless a crash was ordered there."""
    if not _left or name not in _left:
        return
    _left[name] -= 1
    if _left[name] <= 0:
        del _left[name]
        os.kill(os.getpid(), _signal)
