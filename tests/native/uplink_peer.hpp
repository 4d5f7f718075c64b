// SPDX-License-Identifier: GPL-3.0-or-later
// A sender, a seeded network and a listener around parley::Uplink, in simulated time.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "uplink.hpp"

namespace peer {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;

// A codec without loss: two bytes a sample. Its redundancy, if it has any, is all 7s.
class WholeDecoder final : public parley::PacketDecoder {
  public:
    bool has_redundancy = false;

    size_t samples(const uint8_t *, size_t size) const noexcept override { return size / 2; }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        std::memcpy(pcm, payload, size / 2 * 2);
        return size / 2;
    }
    bool recover(const uint8_t *, size_t, int16_t *pcm, size_t samples) noexcept override {
        std::fill_n(pcm, samples, int16_t{7});
        return has_redundancy;
    }
};

// Every sample says where in the sender's audio it stood.
inline int16_t sample_at(int64_t index) { return static_cast<int16_t>(index % 20000 + 1000); }

struct Heard {
    parley::UplinkFrame frame;
    std::vector<int16_t> pcm;
    int64_t at_ns;
};

class Listener final : public parley::FrameSink {
  public:
    std::vector<Heard> frames;
    int64_t now_ns = 0;

    void take(const parley::UplinkFrame &frame, const int16_t *pcm) noexcept override {
        frames.push_back({frame, {pcm, pcm + frame.samples}, now_ns});
    }
    // Frames that do not begin where the one before ended.
    int breaks() const {
        int count = 0;
        for (size_t i = 1; i < frames.size(); ++i)
            count += frames[i].frame.position != frames[i - 1].frame.position + frames[i - 1].frame.samples;
        return count;
    }
    int concealed() const {
        return static_cast<int>(std::count_if(frames.begin(), frames.end(), [](const Heard &heard) {
            return (heard.frame.flags & parley::kConcealed) != 0;
        }));
    }
    // The sender's samples in the order in which they were heard, without what was made up.
    std::vector<int16_t> spoken() const {
        std::vector<int16_t> all;
        for (const Heard &heard : frames)
            if (!(heard.frame.flags & parley::kConcealed))
                all.insert(all.end(), heard.pcm.begin(), heard.pcm.end());
        return all;
    }
};

struct Sender {
    uint32_t ssrc = 0xCAFE;
    uint32_t timestamp = 1000;
    uint16_t sequence = 100;
    int64_t index = 0; // of the next sample
    size_t samples = 160;
    uint32_t ticks = 160; // per packet
    bool quiet = false;

    struct Packet {
        parley::UplinkPacket packet;
        std::vector<int16_t> payload;
    };
    Packet next() {
        Packet made;
        for (size_t i = 0; i < samples; ++i)
            made.payload.push_back(quiet ? int16_t{0} : sample_at(index + static_cast<int64_t>(i)));
        made.packet.ssrc = ssrc;
        made.packet.timestamp = timestamp;
        made.packet.sequence = sequence;
        index += static_cast<int64_t>(samples);
        timestamp += ticks;
        ++sequence;
        return made;
    }
};

// An uplink in its place: packets arrive, and the clock asks it every 20 ms, or every 5 ms while it waits.
struct Leg {
    WholeDecoder decoder;
    Listener listener;
    int64_t now_ns = 1000 * kSecond;
    parley::Uplink uplink;

    explicit Leg(parley::JitterPolicy policy = parley::JitterPolicy::kBalanced,
                 parley::UplinkFormat format = {8000, 8000, 160})
        : uplink(format, policy, decoder, listener, 0, 0, now_ns) {}

    void receive(const Sender::Packet &made, bool recovered = false) {
        parley::UplinkPacket packet = made.packet;
        packet.payload = reinterpret_cast<const uint8_t *>(made.payload.data());
        packet.size = made.payload.size() * 2;
        packet.recovered = recovered;
        packet.arrived_ns = now_ns;
        listener.now_ns = now_ns;
        uplink.receive(packet);
    }
    void until(int64_t ns) {
        for (int64_t at = (now_ns / (5 * kMs) + 1) * 5 * kMs; at <= ns; at += 5 * kMs) {
            if (at % (20 * kMs) != 0 && !uplink.waiting())
                continue;
            listener.now_ns = at;
            uplink.handle_timeout(at);
        }
        now_ns = std::max(now_ns, ns);
    }
    void wait(int64_t ns) { until(now_ns + ns); }
    // One packet every 20 ms, all of which arrive.
    void talk(Sender &sender, int packets) {
        for (int i = 0; i < packets; ++i) {
            receive(sender.next());
            wait(static_cast<int64_t>(sender.samples) * kSecond / 8000);
        }
    }
};

struct Network {
    double loss = 0;
    int64_t jitter_ns = 0;   // uniform, for each packet by itself
    double reordering = 0;   // such packets come `behind_ns` later
    int64_t behind_ns = 30 * kMs;
    double duplication = 0;
    double skew_ppm = 0; // of the sender's clock, fast or slow
    bool in_order = false; // a queue: no packet overtakes another
    uint32_t seed = 1;
};

struct Result {
    int64_t sent = 0;
    int64_t lost = 0;
    std::vector<int64_t> delays_ns; // from a packet's arrival to its frame
    int64_t worst_silence_ns = 0;   // longest time without any frame
    int64_t worst_offset_ns = 0;    // of a frame's position against our clock, after the first seconds
};

// `packets` of 20 ms through the network.
inline Result run(Leg &leg, Sender &sender, const Network &network, int packets) {
    std::mt19937 random(network.seed);
    std::uniform_real_distribution<double> chance(0, 1);
    struct Arrival {
        int64_t at_ns;
        Sender::Packet packet;
    };
    std::vector<Arrival> arrivals;
    Result result;
    const int64_t begin = leg.now_ns + 20 * kMs;
    int64_t last = 0;
    for (int i = 0; i < packets; ++i) {
        const auto sent = begin + static_cast<int64_t>(i * 20.0 * kMs / (1 + network.skew_ppm * 1e-6));
        Arrival arrival{sent + static_cast<int64_t>(chance(random) * static_cast<double>(network.jitter_ns)),
                        sender.next()};
        if (chance(random) < network.reordering)
            arrival.at_ns += network.behind_ns;
        else if (network.in_order)
            arrival.at_ns = last = std::max(last, arrival.at_ns);
        ++result.sent;
        if (chance(random) < network.loss) {
            ++result.lost;
            continue;
        }
        arrivals.push_back(arrival);
        if (chance(random) < network.duplication)
            arrivals.push_back({arrival.at_ns + static_cast<int64_t>(chance(random) * 40) * kMs, arrival.packet});
    }
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const Arrival &a, const Arrival &b) { return a.at_ns < b.at_ns; });
    const int64_t origin_ns = leg.now_ns;
    for (const Arrival &arrival : arrivals) {
        leg.until(arrival.at_ns);
        leg.receive(arrival.packet);
    }
    leg.wait(100 * kMs);
    int64_t before = 0;
    for (const Heard &heard : leg.listener.frames) {
        if (!(heard.frame.flags & parley::kConcealed))
            result.delays_ns.push_back(heard.at_ns - heard.frame.arrived_ns);
        if (before > 0)
            result.worst_silence_ns = std::max(result.worst_silence_ns, heard.at_ns - before);
        before = heard.at_ns;
        if (heard.at_ns - origin_ns > 10 * kSecond && !(heard.frame.flags & parley::kConcealed)) {
            const int64_t due = origin_ns + heard.frame.position * kSecond / heard.frame.rate_hz;
            result.worst_offset_ns = std::max(result.worst_offset_ns, std::abs(heard.at_ns - due));
        }
    }
    std::sort(result.delays_ns.begin(), result.delays_ns.end());
    return result;
}

} // namespace peer
