"""A recording that any player opens: half a second of a quiet tone."""

from __future__ import annotations

import functools
import io
import math
import struct
import wave

_RATE = 8000


@functools.cache
def tiny_wav() -> bytes:
    """A valid mono 16-bit WAV file of about 8 kB."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        samples = (int(3000 * math.sin(2 * math.pi * 440 * step / _RATE)) for step in range(_RATE // 2))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()
