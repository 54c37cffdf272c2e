"""What the running hub consists of, as the web, the console and the command line use it; built in `hub.compose`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hub.clock import Clock
from hub.engine.projects import Projects
from hub.plugins import Plugins
from hub.runtime.account import Account
from hub.runtime.feeds import Feed
from hub.runtime.importer import Importer
from hub.runtime.intake import Intake
from hub.runtime.pace import Pacer
from hub.settings import Settings
from hub.store.connection_state import ConnectionStates
from hub.store.crypto import Cipher
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.store.place import Place
from hub.store.shared_pace import FilePace, PostgresPace

if TYPE_CHECKING:
    from hub.runtime.composing import Composer
    from hub.runtime.fleet import Fleet
    from hub.runtime.live import Live
    from hub.runtime.popups import Popups

__all__ = ["Services"]


@dataclass(slots=True, kw_only=True)
class Services:
    """Shared by everything in one process."""

    settings: Settings
    clock: Clock
    store: Store
    cipher: Cipher
    plugins: Plugins
    projects: Projects
    directory: Directory
    states: ConnectionStates
    intake: Intake
    #: (project, connection) -> the account at run time; empty in a process that only serves the web
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    #: by scope of the vendor's limit; shared by everything in this process that asks the vendor
    pacers: dict[tuple[str, ...], Pacer] = field(default_factory=dict)
    #: what keeps each account's directory fresh; empty in a process that only serves the web
    feeds: dict[tuple[str, str], Feed] = field(default_factory=dict)
    #: the full reading of each account
    importers: dict[tuple[str, str], Importer] = field(default_factory=dict)
    #: queues messages to clients; None in a process that only serves the web
    composer: Composer | None = None
    #: what pops up; None in a process that only serves the web
    popups: Popups | None = None
    #: (project, channel) -> what is wrong with a channel at its vendor's, in a sentence; shown to people
    channel_problems: dict[tuple[str, str], str] = field(default_factory=dict)
    #: tell the other tasks of this process that projects, channels or connections changed: they are reloaded
    changed: Callable[[], None] = lambda: None
    #: wake the lanes after a replay
    sweep: Callable[[], None] = lambda: None

    _live: Live | None = None

    @property
    def live(self) -> Live:
        """The live streams of this process; woken after every commit that may have appended events."""
        if self._live is None:
            from hub.runtime.live import Live

            self._live = Live(self)
        return self._live

    #: whether this process has the project's accounts; all of them unless several processes share a PostgreSQL
    is_own: Callable[[str], bool] = lambda _: True
    #: the windows of vendors' limits that this process shares with others
    shared_pace: FilePace | PostgresPace | None = None
    #: raises LeaseLost where another worker may have this one's accounts by now; asked before each request
    guard: Callable[[], None] | None = None
    #: the processes on one PostgreSQL; None on SQLite and in commands
    fleet: Fleet | None = None
    #: where this process keeps its files, among several
    place: Place | None = None

    def assert_right(self) -> None:
        """Raise LeaseLost where another worker may have this one's projects by now (`guard`)."""
        if self.guard is not None:
            self.guard()

    def close(self) -> None:
        """Release the databases; may be called twice."""
        self.directory.finish()
        # whose threads look things up in the directory
        self.store.close()
        self.directory.close()
        if self.shared_pace is not None:
            self.shared_pace.close()
        if self.intake.spool is not None:
            self.intake.spool.close()
        if self.place is not None:
            self.place.leave()
