# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP user agent: PJSIP behind one thread, one event stream out, one command queue in.

    wire > PJSIP (endpoint thread) > call / account callbacks > events > asyncio
    asyncio > SipEndpoint methods > command queue > endpoint thread > wire

`uri` reads addresses, `events` are the values that cross the threads, `call` and `account` are the pjsua2 objects and
never leave the endpoint's thread, `codecs` orders what is offered, `resolver` says which servers requests go to,
`sip_thread` is what runs there, `command` what is queued for it, `endpoint` the only door to it, `settings` what it is
told at the start. `signalling`, `ladder`, `pcap` and `hep` are about the messages that passed.
"""

__all__: list[str] = []
