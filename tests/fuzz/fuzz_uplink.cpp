// SPDX-License-Identifier: GPL-3.0-or-later
// Sources: uplink.cpp network_delay.cpp concealer.cpp
//
// The input is a script of what arrives when, five bytes a step. Whatever that is, the frames given out are whole, follow
// on each other, and keep pace with our clock.
#include <cstring>
#include <limits>

#include "expect.hpp"
#include "uplink.hpp"

using namespace parley;

namespace {

constexpr int64_t kMs = 1'000'000;
constexpr size_t kMaxScript = 402; // steps take time
constexpr int64_t kBegin_ns = 1'000'000 * kMs;

// Packets of 0xEE... are none of this codec's, those of 0xBB... cannot be decoded after all.
class Decoder final : public PacketDecoder {
  public:
    bool conceals = false;
    bool recovers = false;

    size_t samples(const uint8_t *payload, size_t size) const noexcept override {
        return size > 0 && payload[0] == 0xEE ? 0 : size;
    }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        if (size > 0 && payload[0] == 0xBB)
            return 0;
        for (size_t i = 0; i < size; ++i)
            pcm[i] = static_cast<int16_t>(payload[i] << 7);
        return size;
    }
    bool conceal(int16_t *pcm, size_t samples) noexcept override {
        if (conceals)
            std::memset(pcm, 0, samples * sizeof *pcm);
        return conceals;
    }
    bool recover(const uint8_t *payload, size_t, int16_t *pcm, size_t samples) noexcept override {
        if (!recovers || payload[0] & 1)
            return false;
        std::memset(pcm, 1, samples * sizeof *pcm);
        return true;
    }
};

class Listener final : public FrameSink {
  public:
    int64_t next = std::numeric_limits<int64_t>::min();
    uint64_t frames = 0;
    uint32_t sum = 0; // of all samples, so that each is read

    explicit Listener(const UplinkFormat &format) : format_(format) {}

    void take(const UplinkFrame &frame, const int16_t *pcm) noexcept override {
        EXPECT(frame.samples == format_.frame_samples && frame.rate_hz == format_.rate_hz);
        EXPECT(frame.position >= next); // a hole at most, never a step back
        next = frame.position + frame.samples;
        ++frames;
        for (size_t i = 0; i < frame.samples; ++i)
            sum += static_cast<uint16_t>(pcm[i]);
    }

  private:
    const UplinkFormat format_;
};

UplinkFormat format_of(uint8_t choice) {
    switch (choice % 3) {
    case 0:
        return {8000, 8000, 160};
    case 1:
        return {16000, 8000, 320}; // G.722
    default:
        return {16000, 48000, 320}; // Opus
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    const UplinkFormat format = format_of(data[0]);
    Decoder decoder;
    decoder.conceals = data[0] & 0x40;
    decoder.recovers = data[0] & 0x80;
    Listener listener(format);
    int64_t now_ns = kBegin_ns;
    Uplink uplink(format, static_cast<JitterPolicy>(data[1] % 3), decoder, listener, 0, 0, now_ns);

    const uint32_t step = format.rtp_rate_hz / 50;
    UplinkPacket next;
    next.sequence = 65500;
    next.timestamp = 0xFFFFE000;
    next.ssrc = 1;
    size = std::min(size, kMaxScript);
    for (size_t at = 2; at + 5 <= size; at += 5) {
        const uint8_t *bytes = data + at;
        const int wait_ms = bytes[0] & 0x80 ? bytes[1] * 10 : bytes[1] % 64;
        for (int64_t wait = wait_ms * kMs; wait > 0; wait -= 20 * kMs) {
            now_ns += std::min<int64_t>(wait, 20 * kMs);
            if (uplink.next_timeout() <= now_ns)
                uplink.handle_timeout(now_ns);
        }
        UplinkPacket packet = next;
        packet.arrived_ns = now_ns;
        packet.sequence = static_cast<uint16_t>(packet.sequence + static_cast<int8_t>(bytes[2]));
        packet.timestamp += static_cast<uint32_t>(static_cast<int8_t>(bytes[2])) * step;
        if (bytes[0] & 0x40)
            packet.timestamp += bytes[3] * 0x00010101u;
        if (bytes[0] & 0x20)
            packet.sequence = static_cast<uint16_t>(bytes[2] << 8 | bytes[3]);
        packet.ssrc += bytes[0] & 0x10 ? bytes[3] % 3 : 0;
        packet.recovered = bytes[0] & 0x08;
        const Bytes payload(bytes[4] * (bytes[0] & 0x04 ? 8u : 1u), bytes[3]);
        packet.payload = payload.data();
        packet.size = payload.size();
        switch (bytes[0] & 0x03) {
        case 0:
        case 1:
            uplink.receive(packet);
            break;
        case 2:
            uplink.receive_noise(packet.ssrc, packet.sequence, packet.timestamp, bytes[3] & 0x7F, now_ns);
            break;
        default:
            uplink.receive_event(packet.ssrc, packet.sequence, now_ns);
            break;
        }
        if (!packet.recovered) {
            ++next.sequence;
            next.timestamp += step;
        }
        EXPECT(uplink.position() >= listener.next || listener.frames == 0);
        // More audio than time is thrown away: never more than half a second ahead of our clock, and a packet.
        const int64_t most = (now_ns - kBegin_ns + Uplink::kAhead_ns + 300 * kMs) * format.rate_hz / 1'000'000'000;
        EXPECT(uplink.position() <= most);
    }
    const UplinkCounters &counters = uplink.counters();
    EXPECT(counters.frames == listener.frames && counters.frames_concealed <= counters.frames);
    return 0;
}
