"""A stand-in of the amoCRM server, written from the reference and from nothing else.

It shares no line with the plugin's client. Public clients work against it with only the address
changed, which the plugin's tests prove.
"""

from hub_sandbox import Fault

from .config import Integration, SandboxConfig, Switches
from .sandbox import Sandbox, serve

__all__ = ["Fault", "Integration", "Sandbox", "SandboxConfig", "Switches", "serve"]
