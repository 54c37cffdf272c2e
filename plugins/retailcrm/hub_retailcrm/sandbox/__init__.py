"""A stand-in of the RetailCRM server, written from the reference and from nothing else.

It shares no line with the plugin's client. The vendor's own published client works against it with only the address
changed, which the plugin's tests prove.
"""

from .config import SandboxConfig, Switches
from .faults import Fault
from .sandbox import Sandbox
from .server import serve

__all__ = ["Fault", "Sandbox", "SandboxConfig", "Switches", "serve"]
