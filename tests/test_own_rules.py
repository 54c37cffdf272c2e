"""The hub's own rules as it expects anyone's (H1, X4)."""

from hub.rules import AnnounceNewRecords, RepeatAsNew
from hub.testing.outfit import RuleOutfit
from hub.testing.suites import rule_suite

TestAnnounce = rule_suite(RuleOutfit(rule=AnnounceNewRecords(), settings=({}, {"to": ("senior", "owner")})))
TestRepeat = rule_suite(RuleOutfit(rule=RepeatAsNew(), settings=({}, {"keep_responsible": True}, {"group": "sales"})))
