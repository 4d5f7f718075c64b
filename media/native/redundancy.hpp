// SPDX-License-Identifier: GPL-3.0-or-later
// Redundant audio data (RFC 2198): a packet also carries what the one or two packets before it carried.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace parley {

// The payload of one packet, as it was sent before or is sent now.
struct RedBlock {
    uint8_t payload_type = 0;
    bool redundant = false;
    uint32_t timestamp = 0; // RTP time of its first sample
    const uint8_t *data = nullptr;
    size_t size = 0; // bytes, never 0
};

// What a payload of redundancy holds, oldest block first; the primary, when there is one, is the last.
struct RedPayload {
    static constexpr size_t kMaxBlocks = 9; // nobody sends more than a few; a packet with more is refused

    std::array<RedBlock, kMaxBlocks> blocks;
    size_t count = 0;
};

// Take a payload apart (section 3). The blocks point into it; empty ones are left out. False when its headers break off,
// promise more bytes than there are, or are too many: nothing of it can be trusted then.
//
// Timestamps are those of the packet less the block's offset, modulo 2^32 as all RTP time. A block may be as old as its
// offset says, 2 s at 8 kHz, and anybody may have made it: whoever uses it looks at its time and type first.
bool parse_red(const uint8_t *payload, size_t size, uint32_t timestamp, RedPayload &out) noexcept;

// Turns packets of one payload type into redundancy; all others (DTMF, comfort noise) pass unchanged.
//
// Not thread-safe: it belongs to the thread that sends.
class RedEncoder {
  public:
    static constexpr unsigned kMaxGenerations = 2;
    static constexpr size_t kMaxPacket = 1400;        // bytes with the RTP header: SRTP and UDP still fit an Ethernet frame
    static constexpr size_t kMaxBlock = 1023;         // the length has ten bits
    static constexpr uint32_t kMaxOffset = 16383;     // the timestamp offset has fourteen
    static constexpr size_t kRtpHeader = 12;

    RedEncoder(uint8_t red_payload_type, uint8_t primary_payload_type) noexcept
        : red_payload_type_(red_payload_type), primary_payload_type_(primary_payload_type) {}

    // 0 is off: packets pass unchanged, and none is remembered.
    void set_generations(unsigned generations) noexcept;
    unsigned generations() const noexcept { return generations_; }

    // The packet to send in place of this one: either the same, or one of `size` bytes that lives until the next call.
    // Generations that do not fit are left out, the oldest first, and so are those of another source.
    const uint8_t *wrap(const uint8_t *packet, size_t &size) noexcept;

    uint64_t packets_wrapped() const noexcept { return packets_wrapped_; } // with at least one redundant block

  private:
    struct Remembered {
        uint32_t timestamp = 0;
        size_t size = 0;
        std::array<uint8_t, kMaxBlock> data;
    };

    void remember(const uint8_t *payload, size_t size, uint32_t timestamp) noexcept;

    const uint8_t red_payload_type_;
    const uint8_t primary_payload_type_;
    unsigned generations_ = 0;
    uint32_t ssrc_ = 0;
    std::array<Remembered, kMaxGenerations> history_; // [newest_] is the last packet's
    size_t newest_ = 0;
    size_t remembered_ = 0;
    std::array<uint8_t, kMaxPacket> out_;
    uint64_t packets_wrapped_ = 0;
};

} // namespace parley
