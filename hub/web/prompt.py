"""HTTP as uvicorn has it, with answers on the spot where the application has them (R3, DESIGN 11).

A task, its messages and the wait for a body that is there already are more than half of what a small answer costs. So
a whole request that came in one piece is shown to the application first; what it leaves alone, and everything that is
out of the ordinary, goes uvicorn's own way, as if nobody had looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["AnswersAtOnce", "PromptProtocol"]

#: how many looks of the server a connection that was answered here may rest before it is closed
RESTS = 3


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An application that need not wait for some of its answers."""

    #: what the addresses begin with for which `at_once` is asked
    prompt_paths: bytes

    def at_once(
        self, method: str, url: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> tuple[bytes, bytes] | None:
        """Status line and headers, each with its line end, and the body; None: ask as ASGI does. Never raises.

        ``url`` is what stands in the request line, and the headers' names are in lower case, as ASGI has them.
        """
        ...


class PromptProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, prompt: AnswersAtOnce, **given: Any) -> None:
        super().__init__(**given)
        self._at_once, self._paths = prompt.at_once, prompt.prompt_paths
        #: the request that the application may answer at once is on its way
        self._is_held = False
        self._is_kept = True
        self._body = b""
        #: nothing has come since the last answer here, and so many looks were made at it; None: uvicorn's own timer
        self.rested: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        # who is at both ends is asked of the system on uvicorn's way alone (`_go_on`)
        self.connections.add(self)
        self.transport, self.flow = transport, FlowControl(transport)

    def data_received(self, data: bytes) -> None:
        self.rested = None
        super().data_received(data)
        if self._is_held:
            # it comes in pieces: its time is watched where others are
            self._let_go()

    def on_message_begin(self) -> None:
        # the scope is filled where it is needed; until then it only tells one request from another
        self.url, self.headers, self.scope = b"", [], {}  # type: ignore[typeddict-item]
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        parser, cycle = self.parser, self.cycle
        if (
            self.url.startswith(self._paths)
            and (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and not self.flow.write_paused
            and not self.transport.is_closing()
        ):
            self._is_held, self._body = True, b""
            self._is_kept = parser.should_keep_alive() and parser.get_http_version() == "1.1"
            return
        self._go_on()

    def on_body(self, body: bytes) -> None:
        if self._is_held:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_held:
            super().on_message_complete()
            return
        method = self.parser.get_method().decode("ascii")
        # the answer to HEAD has no body, and uvicorn knows what else that means
        found = None if method == "HEAD" else self._at_once(method, self.url, self.headers, self._body)
        if found is None:
            self._let_go()
            super().on_message_complete()
            return
        self._is_held = False
        self.server_state.total_requests += 1
        if self._is_kept:
            self.transport.write(b"%b\r\n%b" % found)
            self.rested = 0
        else:
            self.transport.write(b"%bconnection: close\r\n\r\n%b" % found)
            self.transport.close()

    def has_rested(self) -> bool:
        """One more look: True if nothing has come for so long after an answer that the connection is to be closed."""
        if self.rested is None:
            return False
        self.rested += 1
        return self.rested >= RESTS

    def _go_on(self) -> None:
        """The headers are complete: on uvicorn's way from here."""
        self.rested = None
        if self.scheme is None:
            flow = self.flow
            super().connection_made(self.transport)
            self.flow = flow
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _let_go(self) -> None:
        """The same, for what was held."""
        self._is_held = False
        self._go_on()
        if self._body:
            super().on_body(self._body)
