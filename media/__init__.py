# SPDX-License-Identifier: GPL-3.0-or-later
"""The media plane: turns RTP into PCM frames and PCM into RTP; knows nothing of SIP or of agents.

    RTP > PJMEDIA stream > native PcmPort > ports > (gain > vad > recorder) > whoever listens
    whoever speaks > resample > ports > native PcmPort > PJMEDIA stream > RTP

Import what you need from its module: `frames`, `ports`, `playout`, `gain`, `level`, `vad`, `resample`,
`recorder` (and its engine `stereo`), `tones`, `wav`, `errors`.
"""

__all__: list[str] = []
