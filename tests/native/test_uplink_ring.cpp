// SPDX-License-Identifier: GPL-3.0-or-later
#include "uplink_ring.hpp"

#include <atomic>
#include <thread>

#include "check.hpp"

using parley::UplinkFrame;
using parley::UplinkRing;

namespace {

// A frame whose samples all say which one it is.
void push(UplinkRing &ring, int64_t number, size_t samples) {
    std::vector<int16_t> pcm(samples, static_cast<int16_t>(number));
    ring.push({number, number * 1000, 8000, static_cast<uint16_t>(samples), static_cast<uint16_t>(number & 1)},
              pcm.data());
}

bool whole(const UplinkFrame &frame, const std::vector<int16_t> &pcm) {
    for (size_t i = 0; i < frame.samples; ++i)
        if (pcm[i] != static_cast<int16_t>(frame.position))
            return false;
    return frame.arrived_ns == frame.position * 1000 && frame.flags == (frame.position & 1);
}

} // namespace

TEST("frames leave the uplink ring as they came, of any length") {
    UplinkRing ring(4, 161);
    std::vector<int16_t> pcm(161);
    UplinkFrame frame;
    CHECK(!ring.pop(frame, pcm.data()));
    for (const size_t samples : {161, 160, 1, 3}) {
        push(ring, 7, samples);
        CHECK(ring.pop(frame, pcm.data()));
        EQUAL(frame.samples, samples);
        CHECK(whole(frame, pcm));
    }
    CHECK(!ring.pop(frame, pcm.data()));
    EQUAL(ring.dropped(), 0u);
}

TEST("a full uplink ring drops its oldest frames and counts them") {
    UplinkRing ring(4, 160);
    std::vector<int16_t> pcm(160);
    for (int64_t i = 0; i < 10; ++i)
        push(ring, i, 160);
    EQUAL(ring.dropped(), 6u);
    EQUAL(ring.size(), 4u);
    UplinkFrame frame;
    for (int64_t i = 6; i < 10; ++i) {
        CHECK(ring.pop(frame, pcm.data()));
        EQUAL(frame.position, i);
    }
    CHECK(!ring.pop(frame, pcm.data()));
}

TEST("a reader overtaken by the writer never sees a torn frame, and every frame is read or counted") {
    constexpr int64_t kFrames = 200'000;
    UplinkRing ring(3, 40);
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (int64_t i = 0; i < kFrames; ++i)
            push(ring, i, 40);
        done = true;
    });
    std::vector<int16_t> pcm(40);
    UplinkFrame frame;
    int64_t last = -1, read = 0, torn = 0, disorder = 0;
    for (;;) {
        const bool finished = done;
        if (!ring.pop(frame, pcm.data())) {
            if (finished)
                break;
            continue;
        }
        ++read;
        torn += !whole(frame, pcm);
        disorder += frame.position <= last;
        last = frame.position;
    }
    writer.join();
    EQUAL(torn, 0);
    EQUAL(disorder, 0);
    EQUAL(last, kFrames - 1);
    EQUAL(read + static_cast<int64_t>(ring.dropped()), kFrames);
}
