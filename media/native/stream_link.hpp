// SPDX-License-Identifier: GPL-3.0-or-later
// A PJMEDIA stream and the port that has its audio, for as long as they belong together.
#pragma once

#include <cstdint>
#include <memory>

#include <pjmedia/stream.h>

#include "packet_hook.hpp"
#include "pcm_port.hpp"

namespace parley {

// What RTP and RTCP counted (RFC 3550 section 6.4). Times are 0 when nothing was measured.
struct RtpStats {
    uint64_t rx_packets = 0;
    uint64_t rx_strangers = 0; // packets of others, which nobody heard
    uint64_t rx_lost = 0;
    uint64_t rx_gaps = 0; // runs of lost packets
    uint32_t rx_jitter_us = 0; // mean of the last stream
    uint64_t tx_packets = 0;
    uint64_t tx_reports = 0;   // of the peer
    uint64_t tx_lost = 0;      // as the peer reported
    uint32_t tx_jitter_us = 0; // as the peer reported, mean of the last stream
    uint32_t rtt_us = 0;  // mean of the last stream
    uint64_t tx_redundant = 0;   // packets that also carried what was sent before them
    uint32_t tx_generations = 0; // of redundancy, at the end of the last stream
    double tx_reported_loss = 0; // share the peer reported lost of late, smoothed, at the end of the last stream
};

// From its construction on the clock ticks the port and packets go there; from its destruction on neither touches the
// stream any more. Both on the SIP thread; whoever makes it keeps the stream alive meanwhile.
class StreamLink {
  public:
    // A JitterPolicy, or PJMEDIA's own jitter buffer (scripts/bench compares).
    static constexpr int kPjmediaJitter = -1;

    StreamLink(pjmedia_stream *stream, pjmedia_port *stream_port, const pjmedia_stream_info &info,
               std::shared_ptr<PcmPort> port, int jitter, Protection protection);
    ~StreamLink();
    StreamLink(const StreamLink &) = delete;
    StreamLink &operator=(const StreamLink &) = delete;

    // Add the stream's counts to those of the streams before it.
    void count(RtpStats &all) const;

  private:
    pjmedia_stream *const stream_;
    const std::shared_ptr<PcmPort> port_;
    std::unique_ptr<PacketHook> hook_;
};

} // namespace parley
