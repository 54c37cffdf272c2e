"""Measurements of the product, each against a base from the same run; ``python -m bench.<name> [--quick]``."""
