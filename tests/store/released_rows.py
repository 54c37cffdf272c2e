"""Rows as earlier releases wrote them, by the migration after which they were written; never changed afterwards.

They were taken from a hub of that release and made smaller; the texts in the bytes are what its codec wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["ROWS", "Rows"]

Rows: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]

ROWS: dict[str, Rows] = {
    "m0001_truth": {
        "binding": [
            {
                "project": "auto",
                "connection": "amocrm",
                "kind": "employee",
                "name": "irina",
                "value": "8800101",
                "is_manual": False,
                "checked_at": 1795319235023431,
                "problem": "",
            }
        ],
        "channel": [
            {
                "project": "auto",
                "name": "ringostat",
                "source": "ringostat",
                "settings": b"gAAAAABrAmW-W8aNMGbDEfW-GBp588TAPa7cM5eu-XggpTt_HyIKodTit2W7",
                "secret": b"gAAAAABrAmW-3eEL6adRRTusx4gvQxBnl6SrVkq9-XEsZziti6Ckm4QagzzI",
                "secret_hash": "bb07a4012b1d223c0a4a05a22433979c7d6bf342efab062c26532247e98a3422",
                "created_at": 1795319230884336,
                "first_seen_at": 1795319233561727,
                "last_seen_at": 1795319233561727,
                "cursor": "",
            }
        ],
        "client": [
            {
                "id": "c1a2015d7cd050a6aad69f",
                "project": "auto",
                "merged_into": None,
                "name": "",
                "last_talked": "oleg",
                "last_talked_at": 1785312416000000,
                "called_by": b"[]",
                "created_at": 1795319233744573,
            }
        ],
        "client_key": [
            {
                "project": "auto",
                "kind": "phone",
                "value": "+380501112233",
                "client_id": "c1a2015d7cd050a6aad69f",
                "created_at": 1795319233744573,
            }
        ],
        "connection": [
            {
                "project": "auto",
                "name": "amocrm",
                "sink": "amocrm",
                "settings": b"gAAAAABrAmW-iVYpoBIdeo6ZkZvLcvPUgLYvNriddqAFBp6LZs8tIvLS65EK",
                "state": b"gAAAAABrAmXDk02IrqMcdp9No3Rl28OXayxJ15G651Y-4cSQ0Gg6aiLvbdbO",
                "state_version": 2,
                "secret": b"gAAAAABrAmW-0Doo8Dw5cClYJC97sHBgQPoX6cz3yf8gMsAzOQZD9MsqLxQc",
                "secret_hash": "ba9e536c3062b78b82f5afda5c50545e4e4f6374209da90d8464fe8d23528267",
                "status": "ready",
                "status_reason": "",
                "status_at": 1795319233002224,
                "catalogue": None,
                "catalogue_at": 1795319235023431,
                "feed_cursor": '{"marks":{"contacts":0,"companies":0,"leads":0,"tasks":0},"events":[]}',
                "feed_at": 1795319233710479,
                "import_cursor": "",
                "import_progress": 100,
                "imported_at": 1795319233002224,
                "created_at": 1795319230884336,
            }
        ],
        "decision": [
            {
                "id": 1,
                "interaction_id": "i1a2015d7cd049fff988bb",
                "connection": "amocrm",
                "project": "auto",
                "revision": 1,
                "policy_version": 1,
                "decided_at": 1795319233989336,
                "snapshot": b"(\xb5/\xfd \x02\x11\x00\x00{}",
                "plan": b"(\xb5/\xfd \x02\x11\x00\x00{}",
                "purpose": "decision",
            }
        ],
        "event": [
            {
                "id": 1,
                "project": "auto",
                "at": 1795319233744573,
                "kind": "interaction",
                "body": b'{"interaction":"i1a2015d7cd049fff988bb","channel":"ringostat"}',
            }
        ],
        "fragment": [
            {
                "interaction_id": "i1a2015d7cd049fff988bb",
                "digest": "2ccf6dc20d4785add84f7941c423994d",
                "inbox_id": 1,
                "body": b'{"kind":"call_fragment","external_id":"ua0_-1785312345.44100',
                "received_at": 1795319233561727,
            }
        ],
        "inbox": [
            {
                "id": 1,
                "project": "auto",
                "channel": "ringostat",
                "kind": "hook",
                "received_at": 1795319233561727,
                "method": "POST",
                "query": b"moment=after",
                "headers": b"[]",
                "body": b'{"type": "in", "uniqueid": "ua0_-1785312345.4410072", "calld',
                "status": "done",
                "field": "",
                "note": "",
                "interaction_id": "i1a2015d7cd049fff988bb",
                "read_at": 1795319233744573,
            }
        ],
        "interaction": [
            {
                "id": "i1a2015d7cd049fff988bb",
                "sequence": 1,
                "project": "auto",
                "channel": "ringostat",
                "external_id": "ua0_-1785312345.4410072",
                "kind": "call",
                "client_id": "c1a2015d7cd050a6aad69f",
                "started_at": 1785312345000000,
                "received_at": 1795319233561727,
                "body": b'{"kind":"call","id":"i1a2015d7cd049fff988bb","project":"auto',
                "revision": 1,
                "decide_at": 1795319233744573,
            }
        ],
        "policy_version": [
            {
                "project": "auto",
                "version": 1,
                "text": '[project]\nregion = "UA"\n',
                "author": "test",
                "reason": "",
                "based_on": None,
                "published_at": 1795319230884336,
            }
        ],
        "project": [
            {
                "name": "auto",
                "title": "auto",
                "mode": "live",
                "is_paused": False,
                "managed": "file",
                "created_at": 1795319230884336,
            }
        ],
        "step": [
            {
                "id": 1,
                "project": "auto",
                "connection": "amocrm",
                "key": "c1a2015d7cd050a6aad69f/create_contact",
                "interaction_id": "i1a2015d7cd049fff988bb",
                "client_id": "c1a2015d7cd050a6aad69f",
                "kind": "create_contact",
                "action": b'{"kind":"create_contact","key":"c1a2015d7cd050a6aad69f/creat',
                "class": 1,
                "position": 0,
                "state": "done",
                "needs": b"[]",
                "hub_id": "hub-76951f55ecfac480a1d9",
                "attempts": 0,
                "doubt_checks": 0,
                "not_before": None,
                "batch_id": "7c08dd946b8543e5ad53e450e2f415d7",
                "created_at": 1795319233989336,
                "sent_at": 1795319236124884,
                "ended_at": 1795319236198295,
                "record_kind": "contact",
                "record_id": "4100201",
                "effect": b'{"contacts":[{"id":"4100201","name":"+380501112233","phones"',
                "note": "",
            },
            {
                "id": 2,
                "project": "auto",
                "connection": "amocrm",
                "key": "i1a2015d7cd049fff988bb/create_deal",
                "interaction_id": "i1a2015d7cd049fff988bb",
                "client_id": "c1a2015d7cd050a6aad69f",
                "kind": "create_deal",
                "action": b'{"kind":"create_deal","key":"i1a2015d7cd049fff988bb/create_d',
                "class": 1,
                "position": 1,
                "state": "done",
                "needs": b'["c1a2015d7cd050a6aad69f/create_contact"]',
                "hub_id": "hub-df8405b3a5374a4ffa45",
                "attempts": 0,
                "doubt_checks": 0,
                "not_before": None,
                "batch_id": "7c08dd946b8543e5ad53e450e2f415d7",
                "created_at": 1795319233989336,
                "sent_at": 1795319236124884,
                "ended_at": 1795319236198295,
                "record_kind": "deal",
                "record_id": "5200777",
                "effect": b'{"contacts":[],"companies":[],"deals":[{"id":"5200777","name',
                "note": "",
            },
        ],
        "timed_run": [
            {
                "name": "retention@2026-07-29T00:00:00+00:00",
                "state": "done",
                "lease": "6bf17f7f2a824fcdbe4e39a9602e0f52",
                "leased_until": 1795319293856202,
                "attempts": 1,
                "started_at": 1795319233856202,
                "ended_at": 1795319234361093,
                "note": "",
            },
        ],
        "work": [
            {
                "interaction_id": "i1a2015d7cd049fff988bb",
                "connection": "amocrm",
                "project": "auto",
                "client_id": "c1a2015d7cd050a6aad69f",
                "sequence": 1,
                "state": "finished",
                "decided_revision": 1,
                "note": "",
                "seen": "e3b0c44298fc1c149afbf4c8",
                "updated_at": 1795319236244812,
                "cost": 4000,
                "urgency": 1,
                "rules": 0,
                "on_seen": False,
            }
        ],
    },
    "m0002_popups": {
        "popup": [
            {
                "project": "auto",
                "key": "call/ua0_-1785312345.4410072",
                "version": 2,
                "client_id": "c1a2015d7cd050a6aad69f",
                "body": b"{}",
                "dismissed": b'["oleg"]',
                "event_id": 1,
                "updated_at": 1795319233744573,
            }
        ],
        "popup_preference": [
            {"project": "auto", "employee": "oleg", "body": b'{"sound":true}', "updated_at": 1795319233744573}
        ],
        "presence": [
            {"project": "auto", "connection": "amocrm", "employee": "oleg", "process": "one", "until": 1795319233744573}
        ],
    },
}
