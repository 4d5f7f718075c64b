// SPDX-License-Identifier: GPL-3.0-or-later
// Sources: redundancy.cpp
//
// The input twice: as a payload that a stranger sends, and as a script of what we send, which has to come back.
#include <cstring>
#include <deque>

#include "expect.hpp"
#include "redundancy.hpp"

using parley::parse_red;
using parley::RedEncoder;
using parley::RedPayload;

namespace {

constexpr uint8_t kRed = 101;
constexpr uint8_t kPrimary = 9;
constexpr uint8_t kEvent = 120;

void read_strangers_payload(const Bytes &payload) {
    RedPayload red;
    if (!parse_red(payload.data(), payload.size(), 1000, red))
        return;
    EXPECT(red.count <= RedPayload::kMaxBlocks);
    const uint8_t *end = nullptr;
    for (size_t i = 0; i < red.count; ++i) {
        const parley::RedBlock &block = red.blocks[i];
        EXPECT(block.size > 0 && block.payload_type < 128);
        EXPECT(block.data >= payload.data() && block.data + block.size <= payload.data() + payload.size());
        EXPECT(!end || block.data >= end); // none overlaps the one before
        EXPECT(1000 - block.timestamp <= RedEncoder::kMaxOffset);
        EXPECT(block.redundant || (i + 1 == red.count && block.timestamp == 1000));
        end = block.data + block.size;
    }
}

struct Sent {
    uint32_t timestamp;
    uint32_t ssrc;
    Bytes payload;
};

// Four bytes each: how many generations, what kind of packet, how long, how far its timestamp is from the last one's.
void carry_out_script(const Bytes &script) {
    RedEncoder encoder(kRed, kPrimary);
    std::deque<Sent> before;
    uint32_t timestamp = 0xFFFFF000, ssrc = 1;
    for (size_t at = 0; at + 4 <= script.size(); at += 4) {
        const uint8_t kind = script[at + 1];
        encoder.set_generations(script[at] % 4);
        timestamp += kind & 0x10 ? script[at + 3] * 160u : kind & 0x20 ? script[at + 3] * 0x01010101u : script[at + 3];
        ssrc += kind & 0x40 ? 1 : 0;
        const size_t size = script[at + 2] * (kind & 0x08 ? 5u : 1u);

        Bytes packet(RedEncoder::kRtpHeader + size, static_cast<uint8_t>(at));
        packet[0] = kind & 0x80 ? script[at + 2] : 0x80;
        packet[1] = (kind & 0x04 ? 0x80 : 0) | (kind & 0x02 ? kEvent : kPrimary);
        for (int i = 0; i < 4; ++i) {
            packet[4 + static_cast<size_t>(i)] = static_cast<uint8_t>(timestamp >> (24 - 8 * i));
            packet[8 + static_cast<size_t>(i)] = static_cast<uint8_t>(ssrc >> (24 - 8 * i));
        }
        if (kind & 0x01)
            packet.resize(std::min(packet.size(), size_t{script[at + 2]})); // perhaps not even a header
        packet.shrink_to_fit();

        size_t wrapped_size = packet.size();
        const uint8_t *out = encoder.wrap(packet.data(), wrapped_size);
        const Bytes wrapped(out, out + wrapped_size);
        const bool ours = packet.size() > RedEncoder::kRtpHeader && packet[0] == 0x80 && !(kind & 0x02);
        if (wrapped == packet) {
            if (ours)
                before.push_front({timestamp, ssrc, Bytes(packet.begin() + RedEncoder::kRtpHeader, packet.end())});
            continue;
        }
        EXPECT(ours && encoder.generations() > 0);
        EXPECT(wrapped.size() <= RedEncoder::kMaxPacket);
        EXPECT((wrapped[1] & 0x7F) == kRed && (wrapped[1] & 0x80) == (packet[1] & 0x80));
        EXPECT(wrapped[0] == packet[0] && std::memcmp(&wrapped[2], &packet[2], RedEncoder::kRtpHeader - 2) == 0);

        RedPayload red;
        const Bytes payload(wrapped.begin() + RedEncoder::kRtpHeader, wrapped.end());
        EXPECT(parse_red(payload.data(), payload.size(), timestamp, red));
        EXPECT(red.count >= 2 && red.count <= 1 + encoder.generations());
        const Bytes primary(packet.begin() + RedEncoder::kRtpHeader, packet.end());
        EXPECT(red.blocks[red.count - 1].size == primary.size());
        EXPECT(std::memcmp(red.blocks[red.count - 1].data, primary.data(), primary.size()) == 0);
        for (size_t i = 0; i + 1 < red.count; ++i) { // oldest first, and each as it was sent
            const parley::RedBlock &block = red.blocks[i];
            const Sent &sent = before.at(red.count - 2 - i);
            EXPECT(block.payload_type == kPrimary && block.redundant);
            EXPECT(block.timestamp == sent.timestamp && sent.ssrc == ssrc);
            EXPECT(block.size == sent.payload.size());
            EXPECT(std::memcmp(block.data, sent.payload.data(), block.size) == 0);
        }
        before.push_front({timestamp, ssrc, primary});
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const Bytes input = exactly(data, size);
    read_strangers_payload(input);
    carry_out_script(input);
    return 0;
}
