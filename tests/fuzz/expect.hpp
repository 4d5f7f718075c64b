// SPDX-License-Identifier: GPL-3.0-or-later
// What every fuzz target needs: input of exactly its size, and claims that end the process when they are wrong.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Bytes = std::vector<uint8_t>;

// A copy without spare capacity: AddressSanitizer sees a read of one byte too many.
inline Bytes exactly(const uint8_t *data, size_t size) {
    Bytes bytes(size);
    std::copy_n(data, size, bytes.begin());
    return bytes;
}

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                               \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (false)
