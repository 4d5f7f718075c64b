// SPDX-License-Identifier: GPL-3.0-or-later
// What a listener is given in place of audio that did not come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace parley {

// Repeats the last pitch period, as ITU-T G.711 Appendix I does but without its delay, and fades it out: after 70 ms
// there is silence. Where real audio goes on, the two are faded into each other over 5 ms.
class Concealer {
  public:
    explicit Concealer(uint32_t rate_hz);

    // Real samples in order. The first ones after a concealment are changed in place.
    void hear(int16_t *pcm, size_t samples) noexcept;
    void conceal(int16_t *pcm, size_t samples) noexcept;
    // White noise of this level (RFC 3389 section 3.1: 0 to 127 below the overload point), in place of concealment.
    void noise(int16_t *pcm, size_t samples, int level_dbov) noexcept;

  private:
    void find_period() noexcept;
    int16_t next() noexcept;

    const uint32_t rate_hz_;
    std::vector<int16_t> history_; // the last 40 ms
    std::vector<int16_t> period_;
    size_t period_samples_ = 0;
    size_t concealed_ = 0; // samples of the concealment going on; 0: none is
    int32_t step_ = 0;     // from the last real sample to the period's beginning
    uint32_t random_ = 1;
};

} // namespace parley
