"""Jivo, as far as the hub meets it: a cabinet whose operators' chats become webhooks (H10).

Written from the vendor's published pages; shares no line with the plugin's own code.
"""

from .cabinet import Cabinet, Delivery
from .story import Agent, Page, Story, Visitor

__all__ = ["Agent", "Cabinet", "Delivery", "Page", "Story", "Visitor"]
