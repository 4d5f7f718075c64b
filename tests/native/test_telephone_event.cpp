// SPDX-License-Identifier: GPL-3.0-or-later
#include "telephone_event.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"

using parley::KeyEvent;
using parley::TelephoneEventReceiver;
using parley::TelephoneEventSender;

namespace {

constexpr int64_t kMs = 1'000'000;
constexpr char kNames[] = "0123456789*#ABCD";

struct Packet {
    uint32_t timestamp;
    uint8_t event;
    bool end;
    uint16_t duration;
};

// What a sender sends for one key: a packet every 20 ms, the last one three times.
std::vector<Packet> press(uint32_t timestamp, uint8_t key, uint16_t duration = 800, uint16_t step = 160) {
    std::vector<Packet> packets;
    for (uint16_t passed = step; passed < duration; passed = static_cast<uint16_t>(passed + step))
        packets.push_back({timestamp, key, false, passed});
    for (int copy = 0; copy < 3; ++copy)
        packets.push_back({timestamp, key, true, duration});
    return packets;
}

struct Heard {
    TelephoneEventReceiver receiver;
    std::string pressed, released;
    std::vector<uint32_t> durations_ms;
    int64_t now_ns = 0;

    void drain() {
        for (KeyEvent event; receiver.next(event);) {
            (event.released ? released : pressed) += kNames[event.key];
            if (event.released)
                durations_ms.push_back(event.duration_ms);
        }
    }
    void bytes(uint32_t timestamp, const std::vector<uint8_t> &payload) {
        // A buffer of its own, so that reading past its end is seen.
        const std::vector<uint8_t> copy(payload);
        receiver.receive(timestamp, copy.data(), copy.size(), now_ns += 20 * kMs);
        drain();
    }
    void packet(const Packet &one) {
        bytes(one.timestamp, {one.event, static_cast<uint8_t>((one.end ? 0x80 : 0) | 10),
                              static_cast<uint8_t>(one.duration >> 8), static_cast<uint8_t>(one.duration)});
    }
    void packets(const std::vector<Packet> &all) {
        for (const Packet &one : all)
            packet(one);
    }
};

bool same(const std::string &got, const std::string &wanted) {
    if (got != wanted)
        std::printf("  got %s, wanted %s\n", got.c_str(), wanted.c_str());
    return got == wanted;
}

} // namespace

TEST("every key is told once, at its first packet, and released with its duration") {
    Heard heard;
    for (uint8_t key = 0; key < 16; ++key) {
        const auto packets = press(1000 + key * 2000, key);
        heard.packet(packets[0]);
        EQUAL(heard.pressed.size(), key + 1u);
        EQUAL(heard.released.size(), size_t{key});
        heard.packets({packets.begin() + 1, packets.end()});
    }
    CHECK(same(heard.pressed, "0123456789*#ABCD"));
    CHECK(same(heard.released, heard.pressed));
    CHECK(std::all_of(heard.durations_ms.begin(), heard.durations_ms.end(), [](uint32_t ms) { return ms == 100; }));
}

TEST("the same key twice is two, even if all that is left is one packet of each") {
    Heard heard;
    heard.packet(press(1000, 5).back());
    heard.packet(press(3000, 5).front());
    heard.packet(press(5000, 5)[2]);
    CHECK(same(heard.pressed, "555"));
}

TEST("a key whose durations begin again from the start is the same key while its timestamp is") {
    Heard heard;
    heard.packet({1000, 5, false, 640});
    heard.packet({1000, 5, false, 160}); // overtaken
    heard.packet({1000, 5, true, 800});
    CHECK(same(heard.pressed, "5"));
    EQUAL(heard.durations_ms.at(0), 100u);
    heard.packet({3000, 6, false, 640});
    heard.packet({3000, 6, false, 160});
    heard.packet({5000, 7, false, 160}); // the end of 6 is lost
    EQUAL(heard.durations_ms.at(1), 80u);
}

TEST("late copies of old events are no keys") {
    Heard heard;
    const auto first = press(1000, 1), second = press(3000, 2);
    heard.packets(first);
    heard.packets(second);
    heard.packets(first);
    heard.packet(second[0]);
    for (uint32_t key = 3; key < 16; ++key)
        heard.packets(press(3000 + key * 2000, static_cast<uint8_t>(key)));
    heard.packets(first);
    CHECK(same(heard.pressed, "123456789*#ABCD"));
    CHECK(same(heard.released, heard.pressed));
}

TEST("an event whose end never comes ends with the next one, or after its time") {
    Heard heard;
    heard.packet({1000, 1, false, 320});
    heard.packet({3000, 2, false, 480});
    CHECK(same(heard.released, "1"));
    CHECK(heard.receiver.active());
    heard.receiver.handle_timeout(heard.now_ns + TelephoneEventReceiver::kEndless_ns);
    heard.drain();
    CHECK(same(heard.released, "1"));
    heard.receiver.handle_timeout(heard.now_ns + TelephoneEventReceiver::kEndless_ns + 1);
    heard.drain();
    CHECK(same(heard.released, "12"));
    CHECK(!heard.receiver.active());
    EQUAL(heard.durations_ms.at(1), 60u);
    heard.packet({3000, 2, true, 800}); // too late to matter
    CHECK(same(heard.pressed + heard.released, "1212"));
}

TEST("a key held for minutes is one key: its segments follow one another") {
    Heard heard;
    uint32_t timestamp = 0xFFFF0000; // wraps on the way
    for (int segment = 0; segment < 10; ++segment) {
        for (uint32_t passed = 160; passed <= 65440; passed += 160)
            if (passed % 4800 != 0 && passed < 64800) // some are lost, and all of the last 80 ms
                heard.packet({timestamp, 7, false, static_cast<uint16_t>(passed)});
        timestamp += 65440;
    }
    heard.packet({timestamp, 7, true, 1600});
    CHECK(same(heard.pressed, "7"));
    CHECK(same(heard.released, "7"));
    EQUAL(heard.durations_ms.at(0), (10 * 65440 + 1600) / 8u);
    // The next press of it is another.
    heard.packets(press(timestamp + 2400, 7));
    CHECK(same(heard.pressed, "77"));
}

TEST("a key pressed again when its duration field might be full is no segment of what ended") {
    Heard heard;
    heard.packets(press(1000, 7)); // with its end
    heard.packets(press(1000 + 65440, 7));
    CHECK(same(heard.pressed, "77"));
    heard.packet({200000, 8, false, 800}); // its end is lost
    heard.packets(press(200000 + 65440, 8)); // and eight seconds of packets were not all lost
    CHECK(same(heard.pressed, "7788"));
}

TEST("events in one packet follow one another; padding is no key") {
    Heard heard;
    heard.bytes(1000, {1, 0x8A, 3, 32, 2, 0x8A, 3, 32, 3, 0x0A, 0, 160});
    CHECK(same(heard.pressed, "123"));
    heard.packet({1000 + 1600, 3, true, 800}); // the third, as a packet of its own
    CHECK(same(heard.pressed, "123"));
    CHECK(same(heard.released, "123"));
    heard.bytes(9000, {4, 0x8A, 3, 32, 0, 0, 0, 0, 0, 0, 0, 0});
    heard.bytes(20000, {5, 0x0A, 3, 32, 0, 0x8A, 3, 32});
    CHECK(same(heard.pressed, "12345"));
}

TEST("what is no key is ignored") {
    Heard heard;
    heard.packet({1000, 16, true, 800}); // flash
    heard.packet({2000, 36, true, 800});
    heard.packet({3000, 255, true, 800});
    heard.bytes(4000, {});
    heard.bytes(5000, {1});
    heard.bytes(6000, {1, 0x8A, 3});
    heard.packet({7000, 1, true, 800});
    heard.packet({7000, 2, true, 800}); // another key at the same time: no
    CHECK(same(heard.pressed, "1"));
}

TEST("stranger's bytes of every length do no harm") {
    std::mt19937 random(20'251'122);
    Heard heard;
    for (int i = 0; i < 20'000; ++i) {
        std::vector<uint8_t> payload(random() % 64);
        for (uint8_t &byte : payload)
            byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 17);
        heard.bytes(random() % 3 == 0 ? random() : 160 * (i / 10), payload);
    }
    CHECK(heard.released.size() <= heard.pressed.size());
    CHECK(heard.pressed.size() - heard.released.size() <= 1);
}

TEST("a thousand keys arrive in order through loss, copies and disorder") {
    for (const uint32_t seed : {1u, 2u, 3u}) {
        std::mt19937 random(seed);
        std::string wanted;
        Heard heard;
        uint32_t timestamp = random();
        for (int i = 0; i < 1000; ++i) {
            const auto key = static_cast<uint8_t>(random() % 16);
            wanted += kNames[key];
            auto packets = press(timestamp, key);
            timestamp += 1600;
            std::vector<Packet> arrived;
            for (const Packet &one : packets) {
                if (random() % 100 < 5)
                    continue;
                arrived.push_back(one);
                if (random() % 100 < 3)
                    arrived.push_back(one);
            }
            for (size_t at = 1; at < arrived.size(); ++at)
                if (random() % 100 < 10)
                    std::swap(arrived[at - 1], arrived[at]);
            heard.packets(arrived);
        }
        CHECK(same(heard.pressed, wanted));
    }
}

TEST("durations are those of the stream's own clock") {
    Heard heard;
    heard.receiver.reset(48000);
    heard.packets(press(5000, 3, 4800, 960));
    EQUAL(heard.durations_ms.at(0), 100u);
}

// ---- Sending

namespace {

struct Wire {
    TelephoneEventSender sender;
    uint32_t timestamp = 0xFFFFFF00;
    uint16_t sequence = 65530;
    uint32_t step = 160, clock_rate_hz = 8000;

    std::vector<uint8_t> audio() {
        std::vector<uint8_t> packet(12 + 160, 0xFF);
        packet[0] = 0x80;
        packet[1] = 0;
        ++sequence;
        timestamp += step;
        for (int i = 0; i < 2; ++i)
            packet[2 + i] = static_cast<uint8_t>(sequence >> (8 - 8 * i));
        for (int i = 0; i < 4; ++i)
            packet[4 + i] = static_cast<uint8_t>(timestamp >> (24 - 8 * i));
        return packet;
    }
    std::vector<uint8_t> event(const TelephoneEventSender::Press &press) {
        const auto packet = audio();
        std::vector<uint8_t> out(TelephoneEventSender::kPacket);
        CHECK(sender.replace(press, 101, clock_rate_hz, step, packet.data(), packet.size(), out.data()));
        EQUAL(out[2] << 8 | out[3], int{sequence});
        return out;
    }
    static uint32_t time_of(const std::vector<uint8_t> &packet) {
        return uint32_t{packet[4]} << 24 | uint32_t{packet[5]} << 16 | uint32_t{packet[6]} << 8 | packet[7];
    }
    static int duration_of(const std::vector<uint8_t> &packet) { return packet[14] << 8 | packet[15]; }
};

} // namespace

TEST("an event keeps the timestamp it began with, and its packets take the places of the audio's") {
    Wire wire;
    wire.audio();
    const uint32_t began = wire.timestamp + 160;
    for (int i = 1; i <= 5; ++i) {
        const auto packet = wire.event({1, 11, 90, i == 5});
        EQUAL(Wire::time_of(packet), began);
        EQUAL(int{packet[1]}, i == 1 ? 0x80 | 101 : 101); // the marker, once (section 2.2.1)
        EQUAL(int{packet[12]}, 11);
        EQUAL(packet[13] >> 7, i == 5 ? 1 : 0);
        EQUAL(packet[13] & 0x40, 0); // reserved
        EQUAL(Wire::duration_of(packet), std::min(i * 160, 720));
    }
    EQUAL(Wire::duration_of(wire.event({1, 11, 90, true})), 720); // a copy
    // The next press of the same key is another event, and its time is the audio's.
    const auto next = wire.event({2, 11, 90, false});
    EQUAL(Wire::time_of(next), wire.timestamp);
    EQUAL(int{next[1]}, 0x80 | 101);
}

TEST("durations beyond the field stay within it") {
    Wire wire;
    wire.clock_rate_hz = 48000;
    wire.step = 960;
    for (int i = 0; i < 100; ++i)
        CHECK(Wire::duration_of(wire.event({1, 1, 5000, false})) >= std::min(960 * i, 65535));
    EQUAL(Wire::duration_of(wire.event({1, 1, 5000, true})), 65535);
}

TEST("what is no plain RTP packet is left alone") {
    TelephoneEventSender sender;
    uint8_t out[TelephoneEventSender::kPacket] = {};
    const std::vector<uint8_t> packets[] = {{}, std::vector<uint8_t>(11, 0x80), std::vector<uint8_t>(20, 0x90)};
    for (const auto &packet : packets)
        CHECK(!sender.replace({1, 1, 100, false}, 101, 8000, 160, packet.data(), packet.size(), out));
}

TEST("what is sent is what is heard") {
    Wire wire;
    Heard heard;
    std::string wanted;
    for (uint32_t serial = 1; serial <= 40; ++serial) {
        const auto key = static_cast<uint8_t>(serial * 7 % 16);
        wanted += kNames[key];
        for (int i = 1; i <= 7; ++i) {
            const auto packet = wire.event({serial, key, 100, i >= 5});
            heard.bytes(Wire::time_of(packet), {packet.begin() + 12, packet.end()});
        }
        wire.audio();
    }
    CHECK(same(heard.pressed, wanted));
    CHECK(same(heard.released, wanted));
    CHECK(std::all_of(heard.durations_ms.begin(), heard.durations_ms.end(), [](uint32_t ms) { return ms == 100; }));
}
