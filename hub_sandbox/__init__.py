"""What every vendor's sandbox needs and no vendor has invented: a port, a door, faults on order, a clock, controls.

A sandbox plays one vendor's server, written from the vendor's documentation (DESIGN 7). It shares no line with the
plugin's client, nor with the hub: this package imports nothing of either, so that an error of the client is never
repeated by its test's opposite. What a vendor answers, limits and keeps is the sandbox's own; what happens to a
connection is here.
"""

from __future__ import annotations

from .clock import SandboxClock
from .control import Handler, crm_controls, json_object, order
from .faults import Fault, FaultBook, Kind
from .gateway import Answer, Entry, Gateway, Silence
from .sandbox import CrmSandbox, CrmWorld
from .serving import SandboxServer, listening_socket, run_until_stopped, serve_app
from .switches import CrmSwitches, pair_of

__all__ = [
    "Answer",
    "CrmSandbox",
    "CrmSwitches",
    "CrmWorld",
    "Entry",
    "Fault",
    "FaultBook",
    "Gateway",
    "Handler",
    "Kind",
    "SandboxClock",
    "SandboxServer",
    "Silence",
    "crm_controls",
    "json_object",
    "listening_socket",
    "order",
    "pair_of",
    "run_until_stopped",
    "serve_app",
]
