// SPDX-License-Identifier: GPL-3.0-or-later
// Sources: telephone_event.cpp
//
// The input is a script of event packets, and what our sender makes of audio packets on the way out.
#include <cstring>

#include "expect.hpp"
#include "telephone_event.hpp"

using parley::KeyEvent;
using parley::TelephoneEventReceiver;
using parley::TelephoneEventSender;

namespace {

constexpr int64_t kMs = 1'000'000;

// Presses and releases take turns, and every key is one.
class Told {
  public:
    void drain(TelephoneEventReceiver &receiver, int64_t now_ns) {
        KeyEvent event;
        while (receiver.next(event)) {
            EXPECT(event.key < parley::kKeys);
            EXPECT(event.at_ns <= now_ns);
            EXPECT(event.released == pressed_);
            EXPECT(!event.released || event.key == key_);
            pressed_ = !event.released;
            key_ = event.key;
        }
    }
    bool pressed() const { return pressed_; }

  private:
    bool pressed_ = false;
    uint8_t key_ = 0;
};

// Four bytes a step and a payload: how long since the last one, timestamp, and how many bytes follow.
void receive_script(const Bytes &script) {
    TelephoneEventReceiver receiver(!script.empty() && script[0] & 1 ? 48000 : 8000);
    Told told;
    int64_t now_ns = 1000 * kMs;
    uint32_t timestamp = 0xFFFFFF00;
    for (size_t at = 1; at + 4 <= script.size();) {
        now_ns += script[at] * 5 * kMs;
        receiver.handle_timeout(now_ns);
        told.drain(receiver, now_ns);
        EXPECT(receiver.active() || !told.pressed());
        timestamp += static_cast<uint32_t>(static_cast<int8_t>(script[at + 1])) * (script[at + 2] & 1 ? 160u : 65535u);
        const size_t size = std::min<size_t>(script[at + 3], script.size() - at - 4);
        const Bytes payload(script.begin() + static_cast<std::ptrdiff_t>(at + 4),
                            script.begin() + static_cast<std::ptrdiff_t>(at + 4 + size));
        receiver.receive(timestamp, payload.data(), payload.size(), now_ns);
        told.drain(receiver, now_ns);
        at += 4 + size;
    }
    now_ns += TelephoneEventReceiver::kEndless_ns + kMs;
    receiver.handle_timeout(now_ns);
    told.drain(receiver, now_ns);
    EXPECT(!told.pressed() && !receiver.active());
}

// Four bytes a packet: serial, key, duration, what is odd about the packet.
void send_script(const Bytes &script) {
    TelephoneEventSender sender;
    uint32_t timestamp = 0xFFFFFF00;
    for (size_t at = 0; at + 4 <= script.size(); at += 4) {
        TelephoneEventSender::Press press;
        press.serial = 1 + script[at] % 4u;
        press.key = script[at + 1] % parley::kKeys;
        press.duration_ms = static_cast<uint16_t>(script[at + 2] * 257);
        press.end = script[at + 3] & 1;
        Bytes packet(script[at + 3] & 2 ? script[at + 2] % 32u : 172u, 0x7F);
        const Bytes header{0x80, 0x00, 0x12, 0x34, static_cast<uint8_t>(timestamp >> 24),
                           static_cast<uint8_t>(timestamp >> 16), static_cast<uint8_t>(timestamp >> 8),
                           static_cast<uint8_t>(timestamp), 9, 9, 9, 9};
        std::copy_n(header.begin(), std::min(header.size(), packet.size()), packet.begin());
        if (script[at + 3] & 4 && !packet.empty())
            packet[0] = script[at + 2];
        packet.shrink_to_fit();
        uint8_t out[TelephoneEventSender::kPacket];
        std::memset(out, 0xA5, sizeof out);
        if (sender.replace(press, 101, 8000, 160, packet.data(), packet.size(), out)) {
            EXPECT(packet.size() >= TelephoneEventSender::kHeader);
            EXPECT((out[1] & 0x7F) == 101 && out[12] == press.key);
            EXPECT(out[2] == 0x12 && out[3] == 0x34 && std::memcmp(out + 8, packet.data() + 8, 4) == 0);
        } else {
            for (const uint8_t byte : out)
                EXPECT(byte == 0xA5);
        }
        timestamp += 160;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const Bytes input = exactly(data, size);
    receive_script(input);
    send_script(input);
    return 0;
}
