# SPDX-License-Identifier: GPL-3.0-or-later
"""Offers as browsers make them: Chromium's of today, and Firefox's in its shape."""

FINGERPRINT = "84:79:4F:61:5C:91:D9:31:68:BC:0D:E2:01:9F:62:55:5B:16:10:63:F0:93:DC:9B:E8:DD:61:D3:F9:DB:E0:3A"

CHROMIUM = f"""v=0
o=- 8480242390220283642 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 63 111 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 192.0.2.7 46243 typ host generation 0
a=candidate:1467250028 1 udp 2122260222 3f2c1f7e-26c2-4b5c-8c5f-0f1b7e0f1f5a.local 46244 typ host generation 0
a=candidate:1467250029 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0
a=ice-ufrag:7Eda
a=ice-pwd:vDfWG/1lL5PmXzgzY5SBg1Mu
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
"""

FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 5478 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
m=video 9 UDP/TLS/RTP/SAVPF 120
c=IN IP4 0.0.0.0
a=mid:0
a=rtcp-mux
a=setup:actpass
a=ice-ufrag:aaaa
a=ice-pwd:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
a=rtpmap:120 VP8/90000
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:cccccccccccccccccccccccccccccccc
a=ice-ufrag:dddddddd
a=mid:1
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:101 telephone-event/8000
a=setup:actpass
"""
