// SPDX-License-Identifier: GPL-3.0-or-later
// A leg whose packets somebody else carries: a browser's, which come through ICE and DTLS.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include <pjmedia/stream.h>

#include "pcm_port.hpp"
#include "stream_link.hpp"

namespace parley {

// What was settled with the peer, who sends and gets Opus (RFC 7587).
struct PacketLegFormat {
    int opus_pt = 0;
    int red_pt = -1;       // redundancy (RFC 2198) of Opus, in both directions; -1: none
    int event_pt = -1;     // telephone-event/48000 (RFC 4733); -1: none
    uint32_t rate_hz = 16000; // of our side
    bool in_band_fec = false; // the peer's decoder makes use of it
};

// PJMEDIA's stream over a transport of ours: what it sends goes to a socket of datagrams, RTP and RTCP alike (RFC 5761),
// unencrypted; what comes is given to receive(). Reception, concealment and loss protection are those of every leg.
//
// Threads. Made, closed and destroyed on the SIP thread; receive() belongs to any one other thread.
class PacketLeg {
  public:
    // `socket` is where packets to the peer go: it is copied (dup), written to without ever waiting, and what it does not
    // take is lost like on any network. Throws std::runtime_error when PJMEDIA refuses.
    PacketLeg(int socket, const PacketLegFormat &format, int jitter, int protection);
    ~PacketLeg();
    PacketLeg(const PacketLeg &) = delete;
    PacketLeg &operator=(const PacketLeg &) = delete;

    std::shared_ptr<PcmPort> pcmPort() const { return port_; }
    // A decrypted packet of the peer. After close() it goes nowhere.
    void receive(const uint8_t *packet, size_t size);
    RtpStats rtpStats() const;
    // Tells the peer (RTCP BYE) and lets go of the stream; counts stay. Once more is no fault.
    void close();

  private:
    class Transport;

    const std::shared_ptr<PcmPort> port_;
    mutable std::mutex gate_; // between receive() and close()
    std::unique_ptr<Transport> transport_;
    pjmedia_stream *stream_ = nullptr;
    std::unique_ptr<StreamLink> link_;
    RtpStats counted_;
};

} // namespace parley
