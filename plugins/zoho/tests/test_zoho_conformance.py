"""Zoho CRM as the hub expects a CRM (X4, X5)."""

from hub_zoho.conformance import OUTFIT

from hub.testing.suites import sink_suite

TestConformance = sink_suite(OUTFIT)
