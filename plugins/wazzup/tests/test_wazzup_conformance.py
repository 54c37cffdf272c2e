"""Wazzup as the hub expects a source (X4)."""

from hub_wazzup.conformance import OUTFIT

from hub.testing.suites import source_suite

TestConformance = source_suite(OUTFIT)
