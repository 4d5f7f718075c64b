# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page hears and says, sample by sample on one clock: recorded in the page, 16 kHz."""

import base64

import numpy as np
from playwright.async_api import Page

from media.frames import PcmSamples

RATE_HZ = 16000

_BEGIN = """async () => {
  const context = new AudioContext({sampleRate: 16000});
  const parts = [[], []];
  const merger = context.createChannelMerger(2), taker = context.createScriptProcessor(1024, 2, 1);
  taker.onaudioprocess = (event) => {
    for (const side of [0, 1]) parts[side].push(new Float32Array(event.inputBuffer.getChannelData(side)));
  };
  merger.connect(taker);
  taker.connect(context.destination);
  const taken = new Set();
  const take = (stream, side) => {
    if (!stream || taken.has(stream)) return;
    taken.add(stream);
    context.createMediaStreamSource(stream).connect(merger, 0, side);
  };
  window.ears = {parts, take, stop: () => context.close()};
}"""
_TAKE = "() => window.ears.take(document.getElementById('audio').srcObject, 0)"
_TAKEN = """() => {
  const pack = (list) => {
    const bytes = new Uint8Array(list.length * 2048);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const part of list) for (const sample of part) {
      view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
      at += 2;
    }
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
  return window.ears.parts.map(pack);
}"""
_OWN_MICROPHONE = """() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    if (window.ears) window.ears.take(stream, 1);
    return stream;
  };
}"""


class PageEars:
    """Of one page. `begin` before the call is begun, `listen` once it stands."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def begin(self) -> None:
        """From now on the microphone is recorded, as soon as the page opens it."""
        await self._page.evaluate(_BEGIN)
        await self._page.evaluate(_OWN_MICROPHONE)

    async def listen(self) -> None:
        """From now on what comes is recorded as well; before, there is silence."""
        await self._page.evaluate(_TAKE)

    async def taken(self) -> tuple[PcmSamples, PcmSamples]:
        """What has been heard and what has been said, up to now."""
        heard, said = await self._page.evaluate(_TAKEN)
        return _samples(heard), _samples(said)


def _samples(text: str) -> PcmSamples:
    return np.frombuffer(base64.b64decode(text), "<i2").astype(np.int16)


def spurts(samples: PcmSamples, *, quiet_ms: int = 300, loud: int = 300) -> list[tuple[float, float]]:
    """Where there is sound, as (begin, end) in seconds; pauses shorter than `quiet_ms` belong to it."""
    frame = RATE_HZ // 100
    count = len(samples) // frame
    levels = np.abs(samples[: count * frame].astype(np.int32)).reshape(count, frame).max(axis=1)
    found: list[tuple[float, float]] = []
    for index in np.flatnonzero(levels > loud):
        at = float(index) / 100
        if found and at - found[-1][1] < quiet_ms / 1000:
            found[-1] = (found[-1][0], at + 0.01)
        else:
            found.append((at, at + 0.01))
    return found
