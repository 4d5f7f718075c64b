// SPDX-License-Identifier: GPL-3.0-or-later
// The keypad's frequencies (ITU-T Q.23), and which key of RFC 4733 has which.
#pragma once

#include <cstddef>
#include <cstdint>

namespace parley {

constexpr double kDtmfRows_hz[4] = {697, 770, 852, 941};
constexpr double kDtmfColumns_hz[4] = {1209, 1336, 1477, 1633};
// 1 2 3 A / 4 5 6 B / 7 8 9 C / * 0 # D
constexpr uint8_t kDtmfKeys[4][4] = {{1, 2, 3, 12}, {4, 5, 6, 13}, {7, 8, 9, 14}, {10, 0, 11, 15}};

constexpr size_t dtmf_place(uint8_t key) noexcept {
    for (size_t place = 0; place < 16; ++place)
        if (kDtmfKeys[place / 4][place % 4] == key)
            return place;
    return 0;
}
constexpr size_t dtmf_row(uint8_t key) noexcept { return dtmf_place(key) / 4; }
constexpr size_t dtmf_column(uint8_t key) noexcept { return dtmf_place(key) % 4; }

} // namespace parley
