// SPDX-License-Identifier: GPL-3.0-or-later
// One stream's packets on their way in and out, between SRTP and PJMEDIA (stream_hook.patch).
#pragma once

#include <pjmedia/stream.h>

#include "loss_protection.hpp"
#include "rtp_packet.hpp"

namespace parley {

class PcmPort;

StreamFormat format_of(const pjmedia_stream_info &info);

// Hands each packet to the engine whose payload type it has. What no engine takes goes on to PJMEDIA's own DTMF
// handling and jitter buffer, and what none replaces is sent as PJMEDIA made it.
//
// Threads. receive() runs on PJMEDIA's transport thread with the stream's jitter buffer mutex held: it must not call
// into the stream. send() runs on the media clock. Both must be over before this object goes: it is made and destroyed
// while the clock does not tick the call's port, and its destructor waits for a receive() under way.
class PacketHook {
  public:
    // `takes_audio`: the port has a decoder for the stream's codec; without one PJMEDIA plays what is received, and only
    // keys are taken. The port must outlive the hook.
    PacketHook(pjmedia_stream *stream, const pjmedia_stream_info &info, const StreamFormat &format, PcmPort &port,
               bool takes_audio, Protection protection);
    ~PacketHook();
    PacketHook(const PacketHook &) = delete;
    PacketHook &operator=(const PacketHook &) = delete;

    const LossProtection &protection() const noexcept { return protection_; }

  private:
    static pj_bool_t on_rx(void *self, const pjmedia_rtp_hdr *header, const void *payload, unsigned size);
    static void *on_tx(void *self, void *packet, unsigned *size);

    // True: taken, PJMEDIA shall not see it.
    bool receive(const RtpPacket &packet) noexcept;
    bool receive_event(const RtpPacket &packet) noexcept;
    bool receive_redundant(const RtpPacket &packet) noexcept;
    bool receive_noise(const RtpPacket &packet) noexcept;
    bool receive_audio(const RtpPacket &packet) noexcept;
    void give_audio(const RtpPacket &packet, bool recovered) noexcept;

    // The packet (header and payload) to be sent in place of this one; it must live until the next call.
    uint8_t *send(uint8_t *packet, unsigned &size) noexcept;

    pjmedia_stream *const stream_;
    const StreamFormat format_;
    PcmPort &port_;
    const bool takes_audio_;
    LossProtection protection_;
};

} // namespace parley
