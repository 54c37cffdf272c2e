"""Parrot as the hub expects a source."""

from hub_parrot.conformance import OUTFIT

from hub.testing.suites import source_suite

TestConformance = source_suite(OUTFIT)
