"""The commands behind `hub.cli`, one module a noun."""
