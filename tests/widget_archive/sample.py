"""A small widget that breaks no rule, so that a test can break one at a time."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

SCRIPT = """\
define(['jquery', './lib/panel.js'], function ($, createPanel) {
  'use strict';

  return function Widget() {
    const self = this;

    this.callbacks = {
      render: function () {
        self.render_template({ caption: { class_name: 'crmhub-caption' }, body: '', render: '' });
        return true;
      },
      init: function () {
        self.add_action('phone', function (clicked) {
          createPanel(clicked.value, self.i18n('panel.title'));
        });
        return true;
      },
      bind_actions: function () {
        return true;
      },
      settings: function () {
        return true;
      },
      advancedSettings: function () {
        return true;
      }
    };
    return this;
  };
});
"""
PANEL = """\
define([], function () {
  'use strict';

  /* a comment with eval( and console.log in it is no code */
  return function createPanel(phone, title) {
    const place = document.createElement('div');
    place.textContent = title + ' // ' + phone.replace(/['"`/]/g, '');
    try {
      document.querySelector('#work-area').appendChild(place);
    } catch (error) {
      console.trace(error);
    }
    return window.APP && window.APP.lang_id;
  };
});
"""
STYLE = """\
/* body { color: red } is a comment */
.crmhub-panel,
.crmhub-panel:not(.crmhub-open, .crmhub-wide) > a {
  --crmhub-colour: var(--palette-text-primary);
  animation: crmhub-fade 1s;
}
@media (max-width: 300px) {
  #crmhub-root b { display: none }
}
@keyframes crmhub-fade {
  from { opacity: 0 }
  to { opacity: 1 }
}
"""
#: by size, so that a hundred broken archives are made in no time
_DRAWN: dict[tuple[int, int], bytes] = {}


def picture(width: int, height: int) -> bytes:
    """A plain PNG of that size."""
    if (width, height) not in _DRAWN:

        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        pixels = zlib.compress(bytes(width + 1) * height)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
        _DRAWN[width, height] = b"\x89PNG\r\n\x1a\n" + body
    return _DRAWN[width, height]


def manifest() -> dict[str, Any]:
    return {
        "widget": {
            "name": "widget.name",
            "description": "widget.description",
            "short_description": "widget.short_description",
            "version": "1.0.0",
            "interface_version": 2,
            "init_once": True,
            "locale": ["ru", "en"],
            "installation": True,
        },
        "locations": ["everywhere", "lcard-1", "settings", "advanced_settings"],
        "settings": {"hub": {"name": "settings.hub", "type": "text", "required": True}},
        "advanced": {"title": "advanced.title"},
        "tour": {
            "is_tour": True,
            "tour_images": {"ru": ["/images/tour_1.png"], "en": ["/images/tour_1.png"]},
            "tour_description": "widget.tour_description",
        },
    }


def texts(word: str) -> dict[str, Any]:
    return {
        "widget": {
            "name": f"{word} hub",
            "description": f"{word} <a href='https://hub.example'>hub</a>",
            "short_description": word,
            "tour_description": word,
            "call_action": word,
        },
        "settings": {"hub": word},
        "advanced": {"title": word},
        "panel": {"title": word},
    }


def good() -> dict[str, bytes]:
    """Every file of the good widget."""
    return {
        "manifest.json": as_json(manifest()),
        "script.js": SCRIPT.encode(),
        "lib/panel.js": PANEL.encode(),
        "i18n/ru.json": as_json(texts("Слово")),
        "i18n/en.json": as_json(texts("Word")),
        "images/logo_main.png": picture(400, 272),
        "images/logo_medium.png": picture(240, 84),
        "images/logo.png": picture(130, 100),
        "images/logo_small.png": picture(108, 108),
        "images/logo_min.png": picture(84, 84),
        "images/tour_1.png": picture(1188, 616),
    }


def as_json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()
