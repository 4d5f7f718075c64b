// SPDX-License-Identifier: GPL-3.0-or-later
#include "call_keys.hpp"

#include <string>
#include <vector>

#include "check.hpp"

using parley::CallKeys;
using parley::DialMethod;
using parley::KeyStream;
using parley::ToneDetection;

namespace {

constexpr char kNames[] = "0123456789*#ABCD";
constexpr int64_t kFrame_ns = 20'000'000;

// Two ends: what one dials, frame by frame, is what the other hears.
struct Ends {
    CallKeys ours, theirs;
    KeyStream stream;
    std::string pressed;
    std::vector<uint32_t> durations_ms;
    int frames = 0, event_packets = 0, tone_frames = 0, silent_frames = 0;
    uint32_t timestamp = 1000;

    explicit Ends(bool events, uint32_t rate_hz = 8000) {
        stream = {rate_hz, static_cast<uint16_t>(rate_hz / 50), events, events};
        ours.attach(stream);
        theirs.attach(stream);
        theirs.detect_tones(ToneDetection::kAuto);
    }

    void frame() {
        std::vector<int16_t> pcm(stream.frame_samples, 1);
        if (ours.dialling()) {
            ours.make_frame(pcm.data(), pcm.size(), (frames + 1) * kFrame_ns);
        } else {
            ours.idle();
            std::fill(pcm.begin(), pcm.end(), int16_t{0});
        }
        timestamp += 160;
        std::vector<uint8_t> packet(12 + 160);
        packet[0] = 0x80;
        for (int i = 0; i < 4; ++i)
            packet[4 + i] = static_cast<uint8_t>(timestamp >> (24 - 8 * i));
        const int64_t now_ns = ++frames * kFrame_ns;
        if (const uint8_t *event = ours.replace(packet.data(), packet.size(), stream.takes_events ? 101 : -1, 8000)) {
            ++event_packets;
            const uint32_t began = uint32_t{event[4]} << 24 | uint32_t{event[5]} << 16 | uint32_t{event[6]} << 8 | event[7];
            theirs.receive_event(began, event + 12, 4, 8000, now_ns);
        } else {
            bool silent = true;
            for (const int16_t one : pcm)
                silent = silent && one == 0;
            ++(silent ? silent_frames : tone_frames);
            if (theirs.detects_tones())
                theirs.hear(pcm.data(), pcm.size(), now_ns);
        }
        std::vector<CallKeys::Heard> heard;
        theirs.drain(heard);
        for (const auto &one : heard) {
            CHECK(one.tone != stream.takes_events);
            if (one.event.released)
                durations_ms.push_back(one.event.duration_ms);
            else
                pressed += kNames[one.event.key];
        }
    }
    void run(int most = 10'000) {
        while (ours.dialling() && most-- > 0)
            frame();
        for (int i = 0; i < 10; ++i)
            frame();
        CHECK(!ours.dialling());
    }
};

} // namespace

TEST("keys dialled as events are heard as they were pressed") {
    Ends ends(true);
    CHECK(ends.ours.dial("0123456789*#ABCD", DialMethod::kAuto, 100, 100, false));
    ends.run();
    CHECK(ends.pressed == "0123456789*#ABCD");
    EQUAL(ends.event_packets, 16 * 7); // 100 ms, and two copies of the end
    EQUAL(ends.tone_frames, 0);
    for (const uint32_t ms : ends.durations_ms)
        EQUAL(ms, 100u);
}

TEST("short keys in quick succession keep their ends apart") {
    Ends ends(true);
    CHECK(ends.ours.dial("1122333", DialMethod::kEvents, 50, 40, false));
    ends.run();
    CHECK(ends.pressed == "1122333");
    for (const uint32_t ms : ends.durations_ms)
        EQUAL(ms, 50u);
}

TEST("the end of an event is sent three times however soon the next key is due") {
    Ends ends(true);
    CHECK(ends.ours.dial("12", DialMethod::kEvents, 60, 0, false));
    ends.run();
    CHECK(ends.pressed == "12");
    EQUAL(ends.event_packets, 2 * 5);
}

TEST("keys dialled as tones are heard at every rate") {
    for (const uint32_t rate_hz : {8000u, 16000u, 48000u}) {
        Ends ends(false, rate_hz);
        CHECK(ends.ours.dial("0123456789*#ABCD", DialMethod::kAuto, 60, 60, false));
        ends.run();
        CHECK(ends.pressed == "0123456789*#ABCD");
        EQUAL(ends.event_packets, 0);
    }
}

TEST("a peer that stopped taking events gets tones for what was to be events") {
    Ends ends(false);
    CHECK(ends.ours.dial("7", DialMethod::kEvents, 100, 100, false));
    ends.run();
    CHECK(ends.pressed == "7");
    CHECK(ends.tone_frames > 0);
}

TEST("pauses are silence of their length") {
    Ends ends(true);
    CHECK(ends.ours.dial("1,2w3", DialMethod::kAuto, 100, 100, false));
    for (int i = 0; i < 10; ++i)
        ends.frame();
    CHECK(ends.pressed == "1");
    for (int i = 0; i < 100; ++i)
        ends.frame();
    CHECK(ends.pressed == "1");
    ends.frame();
    CHECK(ends.pressed == "12");
    for (int i = 0; i < 9 + 25; ++i)
        ends.frame();
    CHECK(ends.pressed == "12");
    ends.run();
    CHECK(ends.pressed == "123");
}

TEST("what is no key, and what does not fit, is refused whole") {
    Ends ends(true);
    CHECK(!ends.ours.dial("12x", DialMethod::kAuto, 100, 100, false));
    CHECK(!ends.ours.dial(std::string("1\0", 2), DialMethod::kAuto, 100, 100, false));
    CHECK(!ends.ours.dial(std::string(257, '1'), DialMethod::kAuto, 100, 100, false));
    CHECK(!ends.ours.dialling());
    CHECK(ends.ours.dial(std::string(256, '1'), DialMethod::kAuto, 40, 40, false));
    CHECK(!ends.ours.dial("2", DialMethod::kAuto, 40, 40, false));
    ends.run();
    EQUAL(ends.pressed.size(), 256u);
}

TEST("secret keys say so while they sound, and nothing else does") {
    Ends ends(false);
    CHECK(ends.ours.dial("1", DialMethod::kAuto, 60, 40, true));
    CHECK(ends.ours.dial("2", DialMethod::kAuto, 60, 40, false));
    for (int i = 0; i < 12; ++i) {
        ends.frame();
        CHECK(ends.ours.secret() == (i < 5));
    }
}

TEST("a change of rate in the middle of a tone keeps its length") {
    Ends ends(false);
    CHECK(ends.ours.dial("5", DialMethod::kAuto, 200, 60, false));
    for (int i = 0; i < 5; ++i)
        ends.frame();
    ends.stream = {16000, 320, false, false};
    ends.ours.attach(ends.stream);
    ends.theirs.attach(ends.stream);
    for (int i = 0; i < 8; ++i)
        ends.frame();
    CHECK(!ends.ours.dialling());
    CHECK(ends.pressed == "55"); // the listener begins anew with the rate
}

TEST("our own tones, returned by the line a little later and quieter, are nobody's keys") {
    Ends ends(false);
    ends.ours.detect_tones(ToneDetection::kAlways);
    CHECK(ends.ours.dial("1234", DialMethod::kTones, 100, 100, false));
    std::vector<std::vector<int16_t>> line;
    for (int64_t i = 0; i < 100; ++i) {
        std::vector<int16_t> pcm(160);
        if (ends.ours.dialling())
            ends.ours.make_frame(pcm.data(), pcm.size(), i * kFrame_ns);
        else
            ends.ours.idle();
        for (int16_t &one : pcm)
            one /= 10;
        line.push_back(pcm);
        if (i >= 10)
            ends.ours.hear(line[static_cast<size_t>(i - 10)].data(), 160, i * kFrame_ns);
    }
    std::vector<CallKeys::Heard> heard;
    ends.ours.drain(heard);
    EQUAL(heard.size(), 0u);
}

TEST("keys that nobody fetches wait, and beyond that are counted") {
    CallKeys keys;
    for (uint32_t i = 0; i < 100; ++i) {
        const uint8_t press[] = {1, 0x8A, 3, 32};
        keys.receive_event(i * 2000, press, sizeof press, 8000, i * kFrame_ns);
    }
    EQUAL(keys.lost(), 72u);
    std::vector<CallKeys::Heard> heard;
    keys.drain(heard);
    EQUAL(heard.size(), 128u);
}
