"""A stand-in of the Zoho CRM server (v8), written from the reference and from nothing else.

It shares no line with the plugin's client. The vendor's own SDK works against it with only the address changed, which
the plugin's tests prove.
"""

from hub_sandbox import Fault

from .config import Credentials, SandboxConfig, Switches
from .sandbox import Sandbox, serve

__all__ = ["Credentials", "Fault", "Sandbox", "SandboxConfig", "Switches", "serve"]
