// SPDX-License-Identifier: GPL-3.0-or-later
// A key of the far end's telephone, pressed or released.
#pragma once

#include <cstdint>

namespace parley {

constexpr uint8_t kKeys = 16; // 0-9, *, #, A-D: the first sixteen events of RFC 4733, section 3.2

struct KeyEvent {
    uint8_t key = 0;
    bool released = false;
    uint32_t duration_ms = 0; // when released: how long it was held, as far as that is known
    int64_t at_ns = 0;        // CLOCK_MONOTONIC, when we learnt of it
};

} // namespace parley
