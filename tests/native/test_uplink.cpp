// SPDX-License-Identifier: GPL-3.0-or-later
#include "uplink.hpp"

#include <cmath>

#include "check.hpp"
#include "uplink_peer.hpp"

using namespace peer;
using parley::JitterPolicy;
using parley::kConcealed;
using parley::kDtmf;

namespace {

// Whether these are the sender's samples from `index` on.
bool is_speech(const std::vector<int16_t> &pcm, int64_t index) {
    for (size_t i = 0; i < pcm.size(); ++i)
        if (pcm[i] != sample_at(index + static_cast<int64_t>(i)))
            return false;
    return true;
}

} // namespace

TEST("a packet that is in order is a frame at once, with its arrival and its place") {
    Leg leg;
    Sender sender;
    leg.wait(40 * kMs); // the first packet belongs where our clock is
    for (int i = 0; i < 5; ++i) {
        leg.receive(sender.next());
        EQUAL(leg.listener.frames.size(), static_cast<size_t>(i + 1));
        const Heard &heard = leg.listener.frames.back();
        EQUAL(heard.frame.position, 320 + 160 * i);
        EQUAL(heard.frame.arrived_ns, leg.now_ns);
        EQUAL(heard.frame.flags, 0);
        leg.wait(20 * kMs);
    }
    CHECK(is_speech(leg.listener.spoken(), 0));
    EQUAL(leg.uplink.counters().packets, 5u);
}

TEST("before the first packet there is nothing") {
    Leg leg;
    leg.wait(kSecond);
    EQUAL(leg.listener.frames.size(), 0u);
}

TEST("where nothing is ever overtaken, a gap is concealed as soon as it shows") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 10);
    sender.next();
    leg.wait(20 * kMs);
    leg.receive(sender.next());
    EQUAL(leg.listener.frames.size(), 12u);
    EQUAL(leg.listener.frames[10].frame.flags, kConcealed);
    EQUAL(leg.listener.frames[11].frame.flags, 0);
    CHECK(is_speech(std::vector<int16_t>(leg.listener.frames[11].pcm.begin() + 40, leg.listener.frames[11].pcm.end()),
                    11 * 160 + 40)); // but for the 5 ms in which the two are joined
    EQUAL(leg.listener.breaks(), 0);
}

TEST("a packet that was overtaken teaches to wait so long, and the next one is in time") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 10);
    for (int round = 0; round < 2; ++round) {
        const Sender::Packet slow = sender.next();
        leg.wait(20 * kMs);
        leg.receive(sender.next());
        leg.wait(10 * kMs);
        leg.receive(slow);
        leg.wait(10 * kMs);
        leg.talk(sender, 5);
    }
    EQUAL(leg.uplink.counters().late, 1u);
    EQUAL(leg.uplink.counters().reordered, 1u);
    EQUAL(leg.listener.concealed(), 1);
    EQUAL(leg.listener.breaks(), 0);
    CHECK(leg.uplink.wait_ns() >= 10 * kMs && leg.uplink.wait_ns() < 15 * kMs);
}

TEST("a policy bounds the wait, whatever the network does") {
    for (const auto &[policy, most_ms] : {std::pair{JitterPolicy::kLowLatency, 20}, {JitterPolicy::kBalanced, 60},
                                          {JitterPolicy::kRobust, 200}}) {
        Leg leg(policy);
        Sender sender;
        Network network;
        network.jitter_ns = 300 * kMs;
        run(leg, sender, network, 500);
        CHECK(leg.uplink.wait_ns() <= most_ms * kMs);
        CHECK(leg.uplink.wait_ns() >= most_ms * kMs / 2);
    }
}

TEST("duplicates are dropped and counted") {
    Leg leg;
    Sender sender;
    for (int i = 0; i < 5; ++i) {
        const Sender::Packet packet = sender.next();
        leg.receive(packet);
        leg.receive(packet);
        leg.wait(20 * kMs);
        leg.receive(packet);
    }
    EQUAL(leg.uplink.counters().duplicates, 10u);
    EQUAL(leg.listener.frames.size(), 5u);
    CHECK(is_speech(leg.listener.spoken(), 0));
}

TEST("a redundant copy fills a gap at once, and one of what is there changes nothing") {
    Leg leg(JitterPolicy::kRobust); // which would wait
    Sender sender;
    leg.talk(sender, 10);
    const Sender::Packet there = sender.next();
    leg.receive(there);
    leg.wait(40 * kMs);
    const Sender::Packet lost = sender.next(), carrier = sender.next();
    leg.receive(there, true);
    leg.receive(lost, true);
    leg.receive(carrier);
    EQUAL(leg.listener.frames.size(), 13u);
    CHECK(is_speech(leg.listener.spoken(), 0));
    EQUAL(leg.listener.concealed(), 0);
    EQUAL(leg.uplink.counters().recovered, 1u);
    EQUAL(leg.uplink.counters().duplicates, 0u);
    EQUAL(leg.uplink.counters().packets, 12u);
    leg.receive(lost); // it was only slow
    EQUAL(leg.uplink.counters().duplicates, 1u);
    EQUAL(leg.listener.frames.size(), 13u);
}

TEST("a redundant copy behind a gap already seen fills it, too") {
    Leg leg(JitterPolicy::kRobust);
    Sender sender;
    leg.talk(sender, 10);
    const Sender::Packet lost = sender.next();
    leg.wait(20 * kMs);
    leg.receive(sender.next());
    EQUAL(leg.listener.frames.size(), 10u);
    leg.receive(lost, true);
    EQUAL(leg.listener.frames.size(), 12u);
    CHECK(is_speech(leg.listener.spoken(), 0));
}

TEST("who carries two packets along is waited for until both may have come again, however short the policy") {
    Leg leg(JitterPolicy::kLowLatency);
    Sender sender;
    std::vector<Sender::Packet> sent;
    for (int i = 0; i < 40; ++i) {
        sent.push_back(sender.next());
        if (i % 10 < 8) { // two in a row are lost
            for (int copy = std::max(0, i - 2); copy < i; ++copy)
                leg.receive(sent[static_cast<size_t>(copy)], true);
            leg.receive(sent.back());
        }
        leg.wait(20 * kMs);
    }
    EQUAL(leg.uplink.counters().recovered, 6u);
    EQUAL(leg.listener.concealed(), 0);
    leg.talk(sender, 10); // without copies
    const size_t frames = leg.listener.frames.size();
    leg.wait(60 * kMs);
    CHECK(leg.listener.frames.size() > frames); // no longer than the policy has it
}

TEST("the codec's redundancy is used when exactly the packet before is missing") {
    Leg leg;
    leg.decoder.has_redundancy = true;
    Sender sender;
    leg.talk(sender, 5);
    sender.next();
    leg.wait(20 * kMs);
    leg.talk(sender, 5);
    sender.next();
    sender.next();
    leg.wait(40 * kMs);
    leg.talk(sender, 1);
    EQUAL(leg.uplink.counters().recovered, 1u);
    EQUAL(leg.listener.frames[5].pcm[0], 7);
    EQUAL(leg.listener.frames[5].frame.flags, 0);
    EQUAL(leg.listener.concealed(), 2);
}

TEST("sequence numbers and timestamps wrap unnoticed") {
    Leg leg;
    Sender sender;
    sender.sequence = 65530;
    sender.timestamp = 0xFFFFFFFFu - 800;
    leg.talk(sender, 20);
    CHECK(is_speech(leg.listener.spoken(), 0));
    EQUAL(leg.listener.frames.size(), 20u);
    EQUAL(leg.uplink.counters().resets, 0u);

    Sender other; // and with a packet lost on the edge of both
    other.sequence = 65534;
    other.timestamp = 0u - 320;
    other.ssrc = 2;
    Leg second;
    second.talk(other, 2);
    other.next();
    second.wait(20 * kMs);
    second.talk(other, 3);
    EQUAL(second.listener.breaks(), 0);
    EQUAL(second.listener.concealed(), 1);
    EQUAL(second.listener.frames.back().frame.position, 5 * 160);
}

TEST("packets of any length give the leg's frames") {
    for (const size_t samples : {80u, 160u, 240u, 320u, 480u}) {
        Leg leg;
        Sender sender;
        sender.samples = samples;
        sender.ticks = static_cast<uint32_t>(samples);
        leg.talk(sender, 48);
        CHECK(is_speech(leg.listener.spoken(), 0));
        EQUAL(leg.listener.frames.size(), 48 * samples / 160);
        EQUAL(leg.listener.breaks(), 0);
        sender.next(); // one of that length is lost
        leg.wait(static_cast<int64_t>(samples) * kSecond / 8000);
        leg.talk(sender, 4);
        EQUAL(leg.listener.breaks(), 0);
    }
}

TEST("clocks that are not the sample rate: G.722 counts half of its samples, Opus three times ours") {
    for (const auto &[rtp_rate, ticks] : {std::pair{8000u, 160u}, {48000u, 960u}}) {
        Leg leg(JitterPolicy::kBalanced, {16000, rtp_rate, 320});
        Sender sender;
        sender.samples = 320;
        sender.ticks = ticks;
        for (int i = 0; i < 20; ++i) {
            if (i == 10)
                sender.next();
            leg.receive(sender.next());
            leg.wait(20 * kMs);
        }
        EQUAL(leg.listener.frames.size(), 21u);
        EQUAL(leg.listener.concealed(), 1);
        EQUAL(leg.listener.breaks(), 0);
        EQUAL(leg.uplink.counters().resets, 0u);
    }
}

TEST("a sender whose clock is not the codec's is understood after a moment") {
    Leg leg(JitterPolicy::kBalanced, {16000, 8000, 320});
    Sender sender; // G.722 with a clock of 16 kHz
    sender.samples = 320;
    sender.ticks = 320;
    for (int i = 0; i < 100; ++i) {
        leg.receive(sender.next());
        leg.wait(20 * kMs);
    }
    const int after_a_while = leg.listener.concealed();
    for (int i = 0; i < 100; ++i) {
        leg.receive(sender.next());
        leg.wait(20 * kMs);
    }
    CHECK(after_a_while < 25);
    EQUAL(leg.listener.concealed(), after_a_while);
    EQUAL(leg.listener.breaks(), 0);
}

TEST("timestamps that stand still, and twice as much audio as time, are survived") {
    Leg leg;
    Sender sender;
    sender.ticks = 0;
    leg.talk(sender, 50);
    EQUAL(leg.listener.concealed(), 0);
    CHECK(is_speech(leg.listener.spoken(), 0));

    Leg fast;
    Sender eager;
    for (int i = 0; i < 1000; ++i) {
        fast.receive(eager.next());
        fast.wait(10 * kMs);
    }
    EQUAL(fast.listener.breaks(), 0);
    const int64_t ahead_ns = fast.listener.frames.back().frame.position * kSecond / 8000 - 10 * kSecond;
    CHECK(ahead_ns < parley::Uplink::kAhead_ns + 150 * kMs);
    CHECK(fast.listener.frames.size() < 535);
    CHECK(fast.listener.concealed() < 5); // what is left out leaves no gap
    EQUAL(fast.uplink.counters().resets, 0u);
}

TEST("another SSRC is another sender on the same timeline") {
    Leg leg;
    Sender first, second;
    second.ssrc = 77;
    second.sequence = 9;
    second.timestamp = 0x80000000;
    leg.talk(first, 10);
    leg.talk(second, 10);
    EQUAL(leg.uplink.counters().ssrc_changes, 1u);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.listener.frames.size(), 20u);
    EQUAL(leg.listener.frames.back().frame.position, 19 * 160);
}

TEST("a sender that begins its sequence anew is followed from the second packet on") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 10);
    sender.sequence += 30000;
    sender.timestamp += 123456789;
    leg.talk(sender, 10);
    EQUAL(leg.uplink.counters().resets, 1u);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.listener.frames.back().frame.position, 19 * 160);
    CHECK(is_speech(leg.listener.frames.back().pcm, 19 * 160));
}

TEST("a timestamp that jumps does not move the timeline") {
    for (const int64_t jump : {int64_t{80000}, int64_t{-80000}, int64_t{1} << 31, int64_t{-5'000'000}}) {
        Leg leg;
        Sender sender;
        leg.talk(sender, 10);
        sender.timestamp += static_cast<uint32_t>(jump);
        leg.talk(sender, 10);
        EQUAL(leg.listener.breaks(), 0);
        EQUAL(leg.listener.frames.back().frame.position, 19 * 160);
        EQUAL(leg.uplink.counters().resets, 1u);
    }
}

TEST("a hold of half a minute keeps the timeline, and what follows is in its place") {
    for (const bool same_clock : {true, false}) {
        Leg leg;
        Sender sender;
        leg.talk(sender, 50);
        leg.wait(30 * kSecond);
        if (same_clock)
            sender.timestamp += 30 * 8000;
        leg.talk(sender, 50);
        EQUAL(leg.listener.breaks(), 0);
        CHECK(std::abs(leg.listener.frames.back().frame.position - 160 * 99 - 30 * 8000) <= 160);
        CHECK(leg.listener.concealed() > 1480);
    }
}

TEST("a silence without packets is not waited for as if something were lost") {
    Leg leg(JitterPolicy::kRobust);
    Sender sender;
    leg.talk(sender, 50);
    leg.wait(380 * kMs);
    sender.timestamp += 19 * 160; // but the sequence number goes on
    const size_t before = leg.listener.frames.size();
    leg.receive(sender.next());
    CHECK(!leg.uplink.waiting());
    CHECK(leg.listener.frames.size() > before);
    EQUAL(leg.listener.frames.back().frame.flags, 0);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.listener.frames.back().frame.position, 69 * 160);
}

TEST("while nothing comes the timeline goes on: concealed, fading, then silent") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 50);
    leg.wait(kSecond);
    EQUAL(leg.listener.breaks(), 0);
    const auto made = static_cast<int>(leg.listener.frames.size()) - 50;
    CHECK(made >= 46 && made <= 50);
    EQUAL(leg.listener.concealed(), made);
    const std::vector<int16_t> &last = leg.listener.frames.back().pcm;
    CHECK(std::all_of(last.begin(), last.end(), [](int16_t sample) { return sample == 0; }));
}

TEST("comfort noise fills a silence at its level, soon, and ends with the next word") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 50);
    leg.listener.now_ns = leg.now_ns;
    leg.uplink.receive_noise(sender.ssrc, sender.sequence++, sender.timestamp, 40, leg.now_ns);
    leg.wait(980 * kMs);
    CHECK(leg.listener.frames.size() >= 98); // one frame behind
    double power = 0;
    for (const int16_t sample : leg.listener.frames.back().pcm)
        power += double(sample) * sample / 160;
    CHECK(std::abs(10 * std::log10(power / 32768 / 32768) + 40) < 1.5);
    EQUAL(leg.listener.frames.back().frame.flags, kConcealed);
    sender.timestamp += 49 * 160;
    leg.talk(sender, 5);
    EQUAL(leg.listener.frames.back().frame.flags, 0);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.listener.frames.back().frame.position, 103 * 160);
}

TEST("a call that begins with comfort noise has a timeline") {
    Leg leg;
    Sender sender;
    leg.uplink.receive_noise(sender.ssrc, sender.sequence++, sender.timestamp, 60, leg.now_ns);
    leg.wait(200 * kMs);
    CHECK(leg.listener.frames.size() >= 7);
    sender.timestamp += 1600;
    leg.talk(sender, 3);
    EQUAL(leg.listener.breaks(), 0);
    CHECK(is_speech(leg.listener.frames.back().pcm, 320));
}

TEST("frames during a telephone event are flagged, and its packets are not missed") {
    Leg leg(JitterPolicy::kRobust);
    Sender sender;
    leg.talk(sender, 10);
    for (int i = 0; i < 10; ++i) {
        leg.uplink.receive_event(sender.ssrc, sender.sequence++, leg.now_ns);
        leg.wait(20 * kMs);
    }
    sender.timestamp += 1600;
    leg.receive(sender.next());
    CHECK(!leg.uplink.waiting());
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.listener.frames[9].frame.flags, 0);
    CHECK(leg.listener.frames[leg.listener.frames.size() - 2].frame.flags & kDtmf);
    leg.wait(200 * kMs);
    CHECK(!(leg.listener.frames.back().frame.flags & kDtmf));
}

TEST("a network that stands still loses nothing it brings within half a second") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 150);
    std::vector<Sender::Packet> queue;
    for (int i = 0; i < 20; ++i)
        queue.push_back(sender.next());
    leg.wait(400 * kMs);
    for (const Sender::Packet &packet : queue)
        leg.receive(packet);
    leg.wait(20 * kMs);
    sender.quiet = true; // in a pause the timeline comes back to our clock
    leg.talk(sender, 600);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.uplink.counters().late, 0u);
    EQUAL(leg.uplink.counters().resets, 1u);
    CHECK(leg.uplink.counters().skew_corrections >= 14);
    const int64_t off_ns = leg.listener.frames.back().frame.position * kSecond / 8000 -
                           (leg.now_ns - 1000 * kSecond - 20 * kMs);
    CHECK(std::abs(off_ns) <= 45 * kMs);
}

TEST("a route that becomes slower for good moves the line, not the audio") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 150);
    leg.wait(300 * kMs); // every packet comes 300 ms later from here on
    sender.quiet = true;
    leg.talk(sender, 1000);
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.uplink.counters().late, 0u);
    const int64_t off_ns = leg.listener.frames.back().frame.position * kSecond / 8000 -
                           (leg.now_ns - 1000 * kSecond - 20 * kMs);
    CHECK(std::abs(off_ns) <= 25 * kMs);
}

TEST("a machine that was suspended leaves a hole instead of an hour of silence") {
    Leg leg;
    Sender sender;
    leg.talk(sender, 50);
    leg.now_ns += 3600 * kSecond;
    leg.listener.now_ns = leg.now_ns;
    leg.uplink.handle_timeout(leg.now_ns);
    leg.wait(200 * kMs);
    CHECK(leg.listener.frames.size() < 70);
    EQUAL(leg.listener.breaks(), 1);
    CHECK(leg.listener.frames.back().frame.position > 3600 * 8000);
}

TEST("200 ppm of skew either way are absorbed over ten minutes") {
    for (const double ppm : {200.0, -200.0}) {
        Leg leg;
        Sender sender;
        Network network;
        network.skew_ppm = ppm;
        network.jitter_ns = 15 * kMs;
        const Result result = run(leg, sender, network, 30'000);
        EQUAL(leg.listener.breaks(), 0);
        CHECK(result.worst_offset_ns < 60 * kMs); // a frame, the jitter, and a frame's length
        CHECK(leg.uplink.counters().skew_corrections >= 4 && leg.uplink.counters().skew_corrections <= 7);
        CHECK(leg.listener.concealed() <= 10);
        EQUAL(leg.uplink.counters().late, 0u);
        EQUAL(leg.uplink.counters().resets, 0u);
        std::printf("    %+.0f ppm: %d corrections, off our clock by %.1f ms at most\n", ppm,
                    static_cast<int>(leg.uplink.counters().skew_corrections),
                    static_cast<double>(result.worst_offset_ns) / kMs);
    }
}

TEST("60 ms of jitter, 3 % loss and 1 % reordering for ten minutes: no stall, no drift") {
    for (const bool in_order : {false, true}) {
        Leg leg;
        Sender sender;
        Network network;
        network.jitter_ns = 60 * kMs;
        network.loss = 0.03;
        network.reordering = 0.01;
        network.duplication = 0.01;
        network.skew_ppm = 200;
        network.in_order = in_order;
        network.seed = 3;
        const Result result = run(leg, sender, network, 30'000);
        const parley::UplinkCounters &counters = leg.uplink.counters();
        EQUAL(leg.listener.breaks(), 0);
        CHECK(result.worst_silence_ns <= 160 * kMs);
        CHECK(result.worst_offset_ns <= 200 * kMs);
        CHECK(leg.listener.concealed() < 30'000 / 20);
        CHECK(counters.late < 300);
        CHECK(std::abs(static_cast<int64_t>(leg.listener.frames.size()) - 30'000) < 60);
        std::printf("    %s: %.2f %% lost, %.2f %% concealed, %d late, %d reordered, delay p50 %.1f p95 %.1f ms, wait %.1f ms, "
                    "longest silence %.0f ms, off our clock by %.0f ms at most, %d corrections, %d resets\n",
                    in_order ? "a queue" : "independent", 100.0 * static_cast<double>(result.lost) / 30'000,
                    100.0 * leg.listener.concealed() / static_cast<double>(leg.listener.frames.size()),
                    static_cast<int>(counters.late), static_cast<int>(counters.reordered),
                    static_cast<double>(result.delays_ns[result.delays_ns.size() / 2]) / kMs,
                    static_cast<double>(result.delays_ns[result.delays_ns.size() * 95 / 100]) / kMs,
                    static_cast<double>(leg.uplink.wait_ns()) / kMs, static_cast<double>(result.worst_silence_ns) / kMs,
                    static_cast<double>(result.worst_offset_ns) / kMs, static_cast<int>(counters.skew_corrections),
                    static_cast<int>(counters.resets));
    }
}

TEST("15 ms of jitter add nothing and conceal nothing") {
    Leg leg;
    Sender sender;
    Network network;
    network.jitter_ns = 15 * kMs;
    const Result result = run(leg, sender, network, 3000);
    EQUAL(result.delays_ns.back(), 0);
    EQUAL(leg.uplink.counters().late, 0u);
    CHECK(leg.listener.concealed() <= 3); // those after the last packet
    CHECK(is_speech(leg.listener.spoken(), 0));
}

TEST("bursts of loss are bridged") {
    Leg leg;
    Sender sender;
    std::mt19937 random(5);
    bool bad = false;
    for (int i = 0; i < 3000; ++i) {
        bad = bad ? random() % 10 < 8 : random() % 100 < 5; // Gilbert: 20 % lost, five in a row
        if (bad)
            sender.next();
        else
            leg.receive(sender.next());
        leg.wait(20 * kMs);
    }
    EQUAL(leg.listener.breaks(), 0);
    EQUAL(leg.uplink.counters().late, 0u);
    CHECK(std::abs(static_cast<int64_t>(leg.listener.frames.size()) - 3000) < 20);
}

TEST("whatever arrives, frames follow on each other and time bounds them") {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        Leg leg(static_cast<JitterPolicy>(seed % 3), {16000, 48000, 320});
        std::vector<uint8_t> bytes(1600);
        const int64_t begin = leg.now_ns;
        uint16_t sequence = 0;
        uint32_t timestamp = 0;
        for (int i = 0; i < 3000; ++i) {
            parley::UplinkPacket packet;
            packet.ssrc = random() % 50 == 0 ? random() % 3 : 1;
            sequence = static_cast<uint16_t>(random() % 20 == 0 ? random() : sequence + random() % 4 - 1);
            timestamp = random() % 20 == 0 ? random() : timestamp + random() % 3 * 480;
            packet.sequence = sequence;
            packet.timestamp = timestamp;
            packet.recovered = random() % 5 == 0;
            for (uint8_t &byte : bytes)
                byte = static_cast<uint8_t>(random());
            packet.payload = bytes.data();
            packet.size = random() % bytes.size();
            leg.wait(static_cast<int64_t>(random() % 30) * kMs);
            packet.arrived_ns = leg.listener.now_ns = leg.now_ns;
            switch (random() % 10) {
            case 0:
                leg.uplink.receive_noise(packet.ssrc, sequence, timestamp, static_cast<int>(random() % 200) - 20,
                                         leg.now_ns);
                break;
            case 1:
                leg.uplink.receive_event(packet.ssrc, sequence, leg.now_ns);
                break;
            default:
                leg.uplink.receive(packet);
            }
            if (random() % 500 == 0)
                leg.now_ns += 10 * kSecond;
        }
        const int64_t end = leg.listener.frames.back().frame.position;
        const int64_t clock = (leg.now_ns - begin) * 16 / kMs;
        CHECK(end - clock < 16000);
        int64_t before = -1;
        for (const Heard &heard : leg.listener.frames) {
            CHECK(heard.frame.position > before);
            before = heard.frame.position;
        }
        CHECK(leg.uplink.next_timeout() < leg.now_ns + kSecond);
    }
}
