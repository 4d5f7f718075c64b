# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw caller who speaks over an agent whose words it knows by heart, and sees from each packet what became of them.

The agent's answer is the same samples every time (the offline voice keeps what it rendered), so what is heard can be
laid over a recording of it: how loud is it, where was it broken off, where does it go on?
"""

import socket
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media.frames import PcmSamples
from tests.e2e.echo_caller import EchoLine
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller

_FRAME = 160
_LOUD = 200.0
_ATTENUATED = 0.4
"""Of the known amplitude: 8 dB quieter than it should be."""
_INAUDIBLE = 0.05
"""Of the known amplitude: more than 26 dB quieter."""
_SEARCH_S = 0.8
"""How much of what is heard is looked for in the recording."""
_TELLING_S = 0.1
"""Of loud samples: less could be anything."""
_ALIKE = 0.75
"""Normalised correlation of what is the same."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What one sound of ours did to the agent."""

    stop_ms: float
    """First audible sample sent, to the end of the last packet that was heard as loud as ever."""
    cut_at: int
    """So many samples of the answer had been heard at full level."""
    silent_at: int
    """So many at any level, until it paused or stopped."""
    goes_on: bool
    """Two seconds after our sound the answer is heard again."""
    repeated_ms: float | None
    """How much of it was heard twice."""


class KnownAnswer:
    """What the agent says when nobody disturbs it, 8 kHz."""

    def __init__(self, samples: PcmSamples) -> None:
        self.samples = samples.astype(np.float64)
        self._energy = np.concatenate([[0.0], np.cumsum(self.samples**2)])

    def find(self, heard: PcmSamples) -> int | None:
        """Where in the answer this piece is, at whatever level; None: nowhere."""
        piece = heard.astype(np.float64)
        count = len(piece)
        if np.count_nonzero(np.abs(piece) > _LOUD) < _TELLING_S * 8000:
            return None
        size = 1 << int(np.ceil(np.log2(len(self.samples) + count)))
        spectrum = np.fft.rfft(self.samples, size) * np.conj(np.fft.rfft(piece, size))
        products = np.fft.irfft(spectrum, size)[: len(self.samples) - count]
        norms = np.sqrt((self._energy[count:-1] - self._energy[: -count - 1])[: len(products)] * np.sum(piece**2))
        alike = products / np.maximum(norms, 1e6)
        best = int(np.argmax(alike))
        return best if alike[best] >= _ALIKE else None


class OverlapCaller:
    """One call; use as a context manager."""

    def __init__(self, gateway: GatewayProcess, user: str = "agent", echo_ms: int | None = None) -> None:
        self._raw = RawCaller(gateway.sip_port)
        self._user = user
        self.call_id = self._raw.call_id
        self._echo_ms = echo_ms

    def __enter__(self) -> "OverlapCaller":
        self._raw.__enter__()
        answer = self._raw.invite(self._user)
        assert answer.code == 200, answer.text
        self._raw.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.line = EchoLine(self._raw, self._echo_ms)
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.bye(self._user)
        self._raw.__exit__(None, None, None)

    def ask(self, question: PcmSamples) -> bool:
        """Ask, and wait until the answer begins."""
        self.line.speak(question)
        return self.line.until_heard()

    def record(self, seconds: float) -> PcmSamples:
        """What is heard in this time, from the first loud sample a moment ago on."""
        begin = max(0, self.line.position - 8000)
        self.line.listen(seconds)
        heard = self.line.heard[begin : self.line.position]
        loud = np.flatnonzero(np.abs(heard) > _LOUD)
        return heard[max(0, int(loud[0]) - _FRAME) :] if len(loud) else heard[:0]

    def speak_over(self, sound: PcmSamples, known: KnownAnswer, listen_s: float = 2.2) -> Overlap | None:
        """Make this sound while the agent says what we know; None: it does not say that now."""
        here = self.line.position
        before = self.line.heard[here - round(_SEARCH_S * 8000) : here]
        found = known.find(before)
        if found is None:
            return None
        offset = found - (here - len(before))
        self.line.speak(sound)
        audible = np.flatnonzero(np.abs(sound.astype(np.int32)) > _LOUD)
        onset = here + int(audible[0]) // _FRAME * _FRAME
        self.line.listen(listen_s)
        end = self.line.position
        stop, silent = (
            _last_above(gain, self.line.heard, known.samples, onset, end, offset) for gain in (_ATTENUATED, _INAUDIBLE)
        )
        cut = stop + offset
        after = known.find(self.line.heard[end - round(_SEARCH_S * 8000) : end])
        repeated_ms = self._repeated_ms(known, here, end, cut)
        return Overlap((stop - onset) / 8, cut, silent + offset, after is not None, repeated_ms)

    def _repeated_ms(self, known: KnownAnswer, begin: int, end: int, cut: int) -> float | None:
        """How far before the cut it went on."""
        heard = self.line.heard[begin:end].astype(np.float64)
        loud = np.abs(heard) > _LOUD
        frames = [bool(loud[at : at + _FRAME].any()) for at in range(0, len(loud) - _FRAME, _FRAME)]
        gap = next((i for i in range(len(frames) - 8) if not any(frames[i : i + 8]) and any(frames[:i])), None)
        if gap is None:
            return None
        resumed = next((i for i in range(gap + 8, len(frames)) if frames[i]), None)
        if resumed is None or (len(frames) - resumed) * _FRAME < _SEARCH_S * 8000:
            return None
        start = begin + resumed * _FRAME
        found = known.find(self.line.heard[start : start + round(_SEARCH_S * 8000)])
        return None if found is None else (cut - found) / 8


def _last_above(least: float, heard: PcmSamples, known: Floats, onset: int, end: int, offset: int) -> int:
    """Where the last packet ends before the agent was quieter than this share of the known amplitude."""
    last = onset
    for at in range(onset, end - _FRAME, _FRAME):
        wanted = known[at + offset : at + offset + _FRAME]
        if len(wanted) < _FRAME or np.mean(np.abs(wanted)) < _LOUD:
            continue
        gain = float(heard[at : at + _FRAME] @ wanted / (wanted @ wanted))
        if gain < least:
            break
        last = at + _FRAME
    return last
