// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "check.hpp"
#include "redundancy.hpp"

using parley::parse_red;
using parley::RedEncoder;
using parley::RedPayload;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint8_t kRed = 101;
constexpr uint8_t kPcmu = 0;
constexpr uint8_t kEvent = 120;

void append_u32(Bytes &out, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<uint8_t>(value >> shift));
}

Bytes packet(uint16_t sequence, uint32_t timestamp, size_t size, uint8_t payload_type = kPcmu, bool marker = false,
             uint32_t ssrc = 7) {
    Bytes out{0x80, static_cast<uint8_t>(payload_type | (marker ? 0x80 : 0)), static_cast<uint8_t>(sequence >> 8),
              static_cast<uint8_t>(sequence)};
    append_u32(out, timestamp);
    append_u32(out, ssrc);
    out.resize(RedEncoder::kRtpHeader + size, static_cast<uint8_t>(sequence));
    return out;
}

// What the encoder sends for a packet, in memory of its own so that a sanitizer sees every byte read beyond it.
Bytes sent(RedEncoder &encoder, const Bytes &from) {
    size_t size = from.size();
    const uint8_t *out = encoder.wrap(from.data(), size);
    return Bytes(out, out + size);
}

// A payload taken apart, and kept for as long as its blocks are looked at.
struct Parsed {
    Parsed(Bytes bytes, uint32_t timestamp)
        : payload(std::move(bytes)), good(parse_red(payload.data(), payload.size(), timestamp, red)),
          blocks(red.blocks.data()), count(red.count) {}
    Parsed(const Parsed &) = delete;

    const Bytes payload;
    RedPayload red;
    const bool good;
    const parley::RedBlock *const blocks;
    const size_t count;
};

Bytes payload_of(const Bytes &rtp) { return Bytes(rtp.begin() + RedEncoder::kRtpHeader, rtp.end()); }

bool is(const parley::RedBlock &block, uint32_t timestamp, uint8_t filling, size_t size) {
    return block.timestamp == timestamp && block.size == size &&
           std::all_of(block.data, block.data + size, [&](uint8_t byte) { return byte == filling; });
}

} // namespace

TEST("the example of RFC 2198 section 4 is taken apart: a redundant block of another type, and the primary") {
    // DVI4 (5) at 8 kHz as primary, LPC (7) of the frame 160 samples before: 14 bytes.
    Bytes bytes{0x87, 0x02, 0x80, 0x0E, 0x05};
    bytes.insert(bytes.end(), 14, 0xAA);
    bytes.insert(bytes.end(), 84, 0xBB);
    const Parsed red(bytes, 1000);
    CHECK(red.good);
    EQUAL(red.count, 2u);
    CHECK(is(red.blocks[0], 840, 0xAA, 14));
    EQUAL(+red.blocks[0].payload_type, 7);
    CHECK(red.blocks[0].redundant);
    CHECK(is(red.blocks[1], 1000, 0xBB, 84));
    EQUAL(+red.blocks[1].payload_type, 5);
    CHECK(!red.blocks[1].redundant);
}

TEST("a block older than the stream's first timestamp has one before the wrap") {
    const Bytes bytes{0x80, 0x02, 0x80, 0x01, 0x00, 0x11, 0x22};
    const Parsed red(bytes, 100);
    CHECK(red.good);
    CHECK(is(red.blocks[0], 100u - 160u, 0x11, 1));
}

TEST("largest offset and largest length are read whole") {
    Bytes bytes{0xFF, 0xFF, 0xFF, 0xFF, 0x00};
    bytes.insert(bytes.end(), 1023, 0x33);
    const Parsed red(bytes, 20000);
    CHECK(red.good);
    EQUAL(red.count, 1u);
    EQUAL(+red.blocks[0].payload_type, 127);
    CHECK(is(red.blocks[0], 20000 - 16383, 0x33, 1023));
}

TEST("empty blocks are left out, an empty primary too") {
    const Bytes bytes{0x80, 0x02, 0x80, 0x00, 0x80, 0x01, 0x40, 0x01, 0x00, 0x44};
    const Parsed red(bytes, 1000);
    CHECK(red.good);
    EQUAL(red.count, 1u);
    CHECK(is(red.blocks[0], 920, 0x44, 1));
}

TEST("headers that break off or promise too much are refused") {
    CHECK(!Parsed({}, 0).good);
    CHECK(!Parsed({0x80}, 0).good);
    CHECK(!Parsed({0x80, 0x02, 0x80}, 0).good);
    CHECK(!Parsed({0x80, 0x02, 0x80, 0x01}, 0).good);             // no last header
    CHECK(!Parsed({0x80, 0x02, 0x80, 0x02, 0x00, 0x11}, 0).good); // two bytes promised, one there
    EQUAL(Parsed({0x80, 0x02, 0x80, 0x02, 0x00, 0x11}, 0).count, 0u);
    const Parsed red({0x80, 0x02, 0x80, 0x01, 0x00, 0x11}, 0);
    CHECK(red.good);
    EQUAL(red.count, 1u);
}

TEST("every truncation of a good payload is refused or shorter, and none is read beyond its end") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(2);
    Bytes whole;
    for (uint16_t i = 0; i < 3; ++i)
        whole = payload_of(sent(encoder, packet(i, i * 160u, 20)));
    for (size_t size = 0; size < whole.size(); ++size) {
        const auto exact = std::make_unique<uint8_t[]>(size); // a sanitizer sees one byte too many
        std::copy_n(whole.begin(), size, exact.get());
        RedPayload red;
        const bool good = parse_red(exact.get(), size, 320, red);
        EQUAL(good, size >= 49); // three headers and both redundant blocks
        size_t total = 0;
        for (size_t i = 0; i < red.count; ++i)
            total += red.blocks[i].size;
        EQUAL(total, good ? size - 9 : 0);
    }
}

TEST("more blocks than anybody sends are refused") {
    const auto with = [](size_t redundant) {
        Bytes bytes;
        for (size_t i = 0; i < redundant; ++i)
            bytes.insert(bytes.end(), {0x80, 0x02, 0x80, 0x00});
        bytes.insert(bytes.end(), {0x00, 0x55});
        return bytes;
    };
    const Parsed red(with(RedPayload::kMaxBlocks - 1), 0);
    CHECK(red.good);
    CHECK(!Parsed(with(RedPayload::kMaxBlocks), 0).good);
}

TEST("switched off, every packet passes as it is") {
    RedEncoder encoder(kRed, kPcmu);
    for (uint16_t i = 0; i < 5; ++i) {
        const Bytes one = packet(i, i * 160u, 160);
        CHECK(sent(encoder, one) == one);
    }
    EQUAL(encoder.packets_wrapped(), 0u);
}

TEST("each generation carries what was sent before it, the oldest first") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(2);
    CHECK(sent(encoder, packet(1, 160, 160)) == packet(1, 160, 160)); // nothing was before
    const Bytes second = sent(encoder, packet(2, 320, 160));
    EQUAL(Parsed(payload_of(second), 320).count, 2u);
    const Bytes third = sent(encoder, packet(3, 480, 160, kPcmu, true));
    EQUAL(third.size(), size_t{12 + 4 + 4 + 1 + 3 * 160});
    EQUAL(+third[1], 0x80 | kRed); // the marker stays
    CHECK(std::equal(third.begin() + 2, third.begin() + 12, packet(3, 480, 0).begin() + 2));
    const Parsed red(payload_of(third), 480);
    CHECK(red.good);
    EQUAL(red.count, 3u);
    CHECK(is(red.blocks[0], 160, 1, 160) && red.blocks[0].redundant);
    CHECK(is(red.blocks[1], 320, 2, 160) && red.blocks[1].redundant);
    CHECK(is(red.blocks[2], 480, 3, 160) && !red.blocks[2].redundant);
    EQUAL(+red.blocks[0].payload_type, +kPcmu);
    EQUAL(encoder.packets_wrapped(), 2u);
}

TEST("what was sent while switched off does not come back later") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 160, 160));
    encoder.set_generations(0);
    sent(encoder, packet(2, 320, 160));
    encoder.set_generations(1);
    CHECK(sent(encoder, packet(3, 480, 160)) == packet(3, 480, 160));
    CHECK(sent(encoder, packet(4, 640, 160)) != packet(4, 640, 160));
}

TEST("digits pass unchanged, and what follows them still tells what was before them, at its own time") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 160, 160));
    const Bytes digit = packet(2, 320, 4, kEvent, true);
    CHECK(sent(encoder, digit) == digit);
    const Parsed red(payload_of(sent(encoder, packet(3, 1920, 160))), 1920);
    CHECK(red.good);
    EQUAL(red.count, 2u);
    CHECK(is(red.blocks[0], 160, 1, 160));
}

TEST("what lies further back than an offset can say is left out, before and behind") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 1000, 160));
    const Parsed red(payload_of(sent(encoder, packet(2, 1000 + 16383, 160))), 17383);
    CHECK(red.good); // just within
    CHECK(is(red.blocks[0], 1000, 1, 160));
    const Bytes late = packet(3, 1000 + 16383 + 16384, 160);
    CHECK(sent(encoder, late) == late);
    const Bytes back = packet(4, 500, 160); // the clock was set back
    CHECK(sent(encoder, back) == back);
    const Bytes again = packet(5, 500, 160); // and stands
    CHECK(sent(encoder, again) == again);
    const Parsed after(payload_of(sent(encoder, packet(6, 660, 160))), 660);
    CHECK(is(after.blocks[0], 500, 5, 160));
}

TEST("timestamps may wrap between a packet and the one it carries along") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 0xFFFFFFB0, 160));
    const Parsed red(payload_of(sent(encoder, packet(2, 0x50, 160))), 0x50);
    CHECK(red.good);
    CHECK(is(red.blocks[0], 0xFFFFFFB0, 1, 160));
}

TEST("another source's packets are not carried along") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 160, 160));
    const Bytes other = packet(2, 320, 160, kPcmu, false, 8);
    CHECK(sent(encoder, other) == other);
}

TEST("generations that would make a packet too large are left out, the oldest first") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(2);
    sent(encoder, packet(1, 320, 640)); // L16 at 16 kHz
    sent(encoder, packet(2, 640, 640));
    const Bytes third = sent(encoder, packet(3, 960, 640));
    CHECK(third.size() <= RedEncoder::kMaxPacket);
    const Parsed red(payload_of(third), 960);
    CHECK(red.good);
    EQUAL(red.count, 2u);
    CHECK(is(red.blocks[0], 640, 2, 640));
    const Bytes large = packet(4, 1280, 1000);
    CHECK(sent(encoder, large) == large); // not even one fits
}

TEST("a payload too long for its length field is never carried along, nor read into") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    for (const size_t size : {size_t{1023}, size_t{1024}}) {
        sent(encoder, packet(1, 0, size));
        const Bytes next = sent(encoder, packet(2, 8000, 100));
        EQUAL(next != packet(2, 8000, 100), size <= RedEncoder::kMaxBlock);
        sent(encoder, packet(3, 100000, 1300)); // forgets
    }
}

TEST("a packet of another shape than ours passes unchanged") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(1);
    sent(encoder, packet(1, 160, 160));
    Bytes extended = packet(2, 320, 160);
    extended[0] = 0x90;
    CHECK(sent(encoder, extended) == extended);
    const Bytes empty = packet(3, 320, 0);
    CHECK(sent(encoder, empty) == empty);
    const Bytes stump{0x80, 0x00, 0x01};
    CHECK(sent(encoder, stump) == stump);
}

TEST("with two generations any two packets in a row may be lost, and every payload still arrives") {
    RedEncoder encoder(kRed, kPcmu);
    encoder.set_generations(2);
    std::vector<bool> arrived(302, false);
    for (uint16_t i = 0; i < 302; ++i) {
        const Bytes one = sent(encoder, packet(i, i * 160u, 160));
        if (i < 300 && i % 3 != 2)
            continue; // lost
        if (one[1] != kRed) {
            arrived[i] = true;
            continue;
        }
        const Parsed red(payload_of(one), i * 160u);
    CHECK(red.good);
        for (size_t block = 0; block < red.count; ++block)
            arrived[red.blocks[block].timestamp / 160] = true;
    }
    CHECK(std::all_of(arrived.begin(), arrived.end(), [](bool one) { return one; }));
}
