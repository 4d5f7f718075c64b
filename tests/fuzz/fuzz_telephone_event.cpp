// SPDX-License-Identifier: GPL-3.0-or-later
// Sources: telephone_event.cpp
//
// The input as packets of a stranger's: four bytes of timestamp, one of time that passes, one of length, and so many of
// payload, again and again. Whatever they say, presses and releases take turns.
#include "expect.hpp"
#include "telephone_event.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    parley::TelephoneEventReceiver receiver;
    int64_t now_ns = 0;
    bool pressed = false;
    uint8_t key = 0;
    for (size_t at = 0; at + 6 <= size;) {
        const uint32_t timestamp = uint32_t{data[at]} << 24 | uint32_t{data[at + 1]} << 16 |
                                   uint32_t{data[at + 2]} << 8 | data[at + 3];
        now_ns += data[at + 4] * int64_t{10'000'000};
        const size_t length = std::min<size_t>(data[at + 5], size - at - 6);
        const Bytes payload = exactly(data + at + 6, length);
        at += 6 + length;
        receiver.receive(timestamp, payload.data(), payload.size(), now_ns);
        for (parley::KeyEvent event; receiver.next(event);) {
            EXPECT(event.key < parley::kKeys);
            EXPECT(event.released == pressed);
            EXPECT(!event.released || event.key == key);
            EXPECT(event.at_ns == now_ns);
            pressed = !event.released;
            key = event.key;
        }
        EXPECT(receiver.active() == pressed);
    }
    return 0;
}
