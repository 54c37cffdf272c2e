"""A stand-in of the RetailCRM server, written from the reference and from nothing else.

It shares no line with the plugin's client. The vendor's own published client works against it with only the address
changed, which the plugin's tests prove.
"""

from hub_sandbox import Fault

from .config import SandboxConfig, Switches
from .sandbox import Sandbox, serve

__all__ = ["Fault", "Sandbox", "SandboxConfig", "Switches", "serve"]
