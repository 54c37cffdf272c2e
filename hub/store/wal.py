"""SQLite's log (WAL) is copied into the file beside the writer, so that hardly a commit waits for it (H3, DESIGN 11).

Left to itself SQLite copies inside the commit that finds a thousand pages in the log, and waits there until the disk
has all of them: one commit in forty took many times as long as the others, and with it each webhook's "yes" that
shared it. What is committed is in the log, and on the disk, before; copying changes nothing of that.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["AT_MOST", "LogCopier"]

log = logging.getLogger(__name__)

#: pages in the log from which on SQLite copies in each commit after all, as far as readers of older states let it
AT_MOST: Final = 8000


class LogCopier:
    """Copies when enough was ``written``, on its own thread and over its own connection.

    The log begins anew only if all of it is copied when a write begins. So the writer copies the rest, which was
    written while the thread copied, in a moment when nobody waits for an answer.
    """

    #: functions written between two copies: one changes some ten pages, of which many are the same ones again
    EVERY = 250

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._written = 0
        self._is_due = threading.Event()
        #: the thread is done but for what came meanwhile
        self._is_nearly_done = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="hub-wal", daemon=True)

    def start(self) -> None:
        """Begin to wait for what is written."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is under way; nothing if it was never started."""
        self._is_closing = True
        self._is_due.set()
        if self._thread.is_alive():
            self._thread.join()

    def written(self, driver: sqlite3.Connection, count: int, *, is_awaited: bool) -> None:
        """The writer has committed ``count`` functions over ``driver``; ``is_awaited``: somebody waits for the next."""
        self._written += count
        if self._is_nearly_done and not is_awaited:
            self._is_nearly_done = False
            _copy(driver)
        if self._written >= self.EVERY:
            self._written = 0
            self._is_due.set()

    def _run(self) -> None:
        driver: sqlite3.Connection | None = None
        while True:
            self._is_due.wait()
            if self._is_closing:
                return
            self._is_due.clear()
            driver = driver or self._connect()
            # the second time there is little left, and after it less
            if _copy(driver) and _copy(driver):
                self._is_nearly_done = True


def _copy(driver: sqlite3.Connection) -> bool:
    """Copy as much as can be without anybody having to wait; False if it cannot be done."""
    try:
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
    except sqlite3.Error as error:
        # a full disk and the like: the log grows meanwhile, and whoever writes hears of it
        log.warning("the log cannot be copied: %s", error, extra={"action": "store.log_not_copied"})
        return False
    return True
