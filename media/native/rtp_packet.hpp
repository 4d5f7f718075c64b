// SPDX-License-Identifier: GPL-3.0-or-later
// RTP as the engines of media/native see it: numbers in host order, no PJ include.
#pragma once

#include <cstddef>
#include <cstdint>

namespace parley {

// RFC 3550 section 5.1. The payload belongs to whoever received it and may be gone after the call that hands it on.
struct RtpPacket {
    uint32_t ssrc = 0;
    uint32_t timestamp = 0;
    uint16_t sequence = 0;
    uint8_t payload_type = 0;
    bool marker = false;
    const uint8_t *payload = nullptr;
    size_t size = 0;        // of the payload, in bytes
    int64_t arrived_ns = 0; // CLOCK_MONOTONIC
};

// What SDP settled for a stream, as far as its packets are concerned. A payload type of -1 was not negotiated.
struct StreamFormat {
    char codec[32] = {};        // encoding name as in a=rtpmap, upper case: PCMU, PCMA, G722, L16, OPUS
    uint32_t rate_hz = 8000;    // of the samples
    uint32_t rtp_rate_hz = 8000; // of the timestamps: G.722 says 8000 (RFC 3551 section 4.5.2), Opus 48000 (RFC 7587)
    uint16_t channels = 1;
    int rx_pt = -1;
    int tx_pt = -1;
    int rx_event_pt = -1; // telephone-event (RFC 4733)
    int tx_event_pt = -1;
    int rx_red_pt = -1; // redundancy (RFC 2198)
    int tx_red_pt = -1;
};

// Comfort noise has a payload type of its own (RFC 3389 section 4).
inline constexpr int kComfortNoisePt = 13;

} // namespace parley
