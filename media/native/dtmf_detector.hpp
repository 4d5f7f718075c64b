// SPDX-License-Identifier: GPL-3.0-or-later
// Keys pressed as tones in the caller's audio (ITU-T Q.23, limits as in Q.24). No clock, no heap while it listens.
#pragma once

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "key_event.hpp"

namespace parley {

// Every 10 ms the last 20 ms are correlated with the eight frequencies. It is a key's sound when one row and one column
// hold nearly all the power at levels that fit each other, and the two have the right frequency: that is measured by
// the phase from one window to the next, for no window this short could tell 1.5 % (to be taken) from 3.5 % (not to be)
// by level. Three such windows in a row, 40 ms of steady sound, are a press; two without are the release.
//
// What keeps speech out (talk-off): its vowels have more than two strong harmonics, and they glide.
class DtmfDetector {
  public:
    DtmfDetector() { set_rate(8000); }

    void set_rate(uint32_t rate_hz); // forgets what was heard
    void receive(const int16_t *pcm, size_t samples, int64_t now_ns) noexcept;
    // The next press or release; drain after each frame.
    bool next(KeyEvent &event) noexcept;
    // Whether a key is down, or may just have gone down: this audio is no speech.
    bool active() const noexcept { return pressed_ || count_ >= 2; }

  private:
    static constexpr size_t kTones = 8; // four rows, four columns
    using Spectrum = std::array<std::complex<float>, kTones>;

    // What one window sounds like.
    struct Sound {
        bool tonal = false; // two tones that may be a key's, their frequencies not yet measured
        bool exact = false; // and they are where they belong
        uint8_t key = 0;
        float row = 0, column = 0; // power, full scale squared
        float share = 0;           // of all the power in the window
    };

    struct Window; // the window function times the eight frequencies, one per sample rate
    static const Window &window_for(uint32_t rate_hz);

    Sound listen() noexcept;
    float deviation_hz(size_t tone, const Spectrum &spectrum) const noexcept;
    void judge(const Sound &sound, int64_t now_ns) noexcept;
    void release(int64_t now_ns) noexcept;

    const Window *window_ = nullptr;
    std::vector<float> heard_; // the last 20 ms, full scale 1; what is new goes to the end
    size_t fresh_ = 0;         // samples since the last window
    Spectrum before_{};
    bool has_before_ = false;

    Sound last_;
    int count_ = 0;    // windows in a row that sound like last_.key
    float purest_ = 0; // best share among them
    bool pressed_ = false;
    uint8_t key_ = 0;
    float level_ = 0; // of the weaker tone when it was pressed
    int misses_ = 0;
    uint32_t windows_ = 0;

    std::array<KeyEvent, 16> out_{};
    size_t out_begin_ = 0, out_end_ = 0;
};

} // namespace parley
