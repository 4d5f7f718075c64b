// SPDX-License-Identifier: GPL-3.0-or-later
// A codec as the uplink sees it: one packet's payload in, samples out. Mono, signed 16 bit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace parley {

class PacketDecoder {
  public:
    virtual ~PacketDecoder() = default;

    // How many samples the payload holds, without decoding it; 0 when it is none of this codec's.
    virtual size_t samples(const uint8_t *payload, size_t size) const noexcept = 0;
    // Decode into `pcm`, which has room for samples(). Returns how many there were; 0 when it cannot be decoded.
    virtual size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept = 0;
    // The codec's own concealment of so many lost samples, until audio comes again; false when it has none.
    virtual bool conceal(int16_t *, size_t) noexcept { return false; }
    // What a lost packet of so many samples said, out of the redundancy in the packet after it; false: it has none.
    virtual bool recover(const uint8_t *, size_t, int16_t *, size_t) noexcept { return false; }
};

} // namespace parley
