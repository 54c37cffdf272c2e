"""The demo's day of traffic and the independent auditor of what came of it."""
