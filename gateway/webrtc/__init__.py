# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from browsers: WebRTC's transport, and behind it the leg, the call and the agent of every other call.

    offer.py     an SDP offer, read                answer.py    ours to it, written
    fragment.py  trickled candidates (RFC 8840)    ice.py       the way to the browser, and a new one when it is lost
    dtls.py      handshake and SRTP                peer.py      one browser: path, keys, packets, audio
    legs.py      all of them, as calls see them    config.py    [webrtc]       turn.py    credentials for a relay

aiortc and aioice make the connection; packets go past aiortc's own receiver (a jitter buffer of fixed size) to
media/native, as those of SIP calls do.
"""
