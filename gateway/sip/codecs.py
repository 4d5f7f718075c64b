# SPDX-License-Identifier: GPL-3.0-or-later
"""Which codecs PJSIP offers, and in what order. Endpoint thread only."""

import pjsua2 as pj

from gateway.errors import StartupError

_OPUS_RATE_HZ = 16000
"""Rate our side of an Opus leg runs at: what STT wants, without a second conversion."""
_CODEC_IDS = {
    "pcmu": ("PCMU/8000",),
    "pcma": ("PCMA/8000",),
    "g722": ("G722/16000",),
    "l16": ("L16/16000/1", "L16/8000/1"),
    "opus": ("opus/48000",),
}


_RTPMAPS = {
    "pcmu": ("PCMU/8000",),
    "pcma": ("PCMA/8000",),
    "g722": ("G722/8000",),  # RFC 3551 section 4.5.2: not the 16 kHz it has
    "l16": ("L16/16000", "L16/8000"),
    "opus": ("opus/48000",),
}


def rtpmaps(codecs: tuple[str, ...]) -> list[str]:
    """The codecs as SDP has them, for a call that shall offer and accept these alone."""
    return [rtpmap for name in codecs for rtpmap in _RTPMAPS[name]]


def choose_codecs(endpoint: pj.Endpoint, codecs: tuple[str, ...], *, fec: bool) -> None:
    """Give the named codecs falling priorities and switch the rest off. Raises `StartupError` for an unknown one.

    Without `fec` Opus says that it has no use for in-band FEC.
    """
    known = [codec.codecId for codec in endpoint.codecEnum2()]
    for codec_id in known:
        endpoint.codecSetPriority(codec_id, 0)
    priority = 250
    for name in codecs:
        wanted = _CODEC_IDS.get(name, ())
        found = [one for prefix in wanted for one in known if one.lower().startswith(prefix.lower())]
        if not found:
            raise StartupError(f"codec {name!r} is not in this build of PJSIP; known are {', '.join(_CODEC_IDS)}")
        for codec_id in found:
            endpoint.codecSetPriority(codec_id, priority)
            priority -= 1
    if "opus" in codecs:
        opus = endpoint.getCodecOpusConfig()
        opus.sample_rate = _OPUS_RATE_HZ
        opus.channel_cnt = 1
        # Opus sends in-band FEC only when told to expect loss (RFC 6716 section 2.1.7): the peer's reports will tell.
        opus.packet_loss = 0
        endpoint.setCodecOpusConfig(opus)
        if not fec:
            _refuse_opus_fec(endpoint)


def _refuse_opus_fec(endpoint: pj.Endpoint) -> None:
    """Leave `useinbandfec=1` out of offers and answers (RFC 7587 section 6.1)."""
    for codec_id in _CODEC_IDS["opus"]:
        param = endpoint.codecGetParam(codec_id)
        kept = [one for one in param.setting.decFmtp if one.name != "useinbandfec"]
        param.setting.decFmtp = pj.CodecFmtpVector(kept)
        endpoint.codecSetParam(codec_id, param)
