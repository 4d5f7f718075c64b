// SPDX-License-Identifier: GPL-3.0-or-later
#include "concealer.hpp"

#include <algorithm>
#include <cmath>

namespace parley {

namespace {

constexpr uint32_t kHistory_ms = 40;
constexpr uint32_t kHold_ms = 10;
constexpr uint32_t kFade_ms = 60;
constexpr uint32_t kJoin_per_second = 200; // 5 ms
constexpr uint32_t kLowestPitch_hz = 66;
constexpr uint32_t kHighestPitch_hz = 400;
constexpr uint32_t kSearchRate_hz = 8000; // higher rates are searched with every other sample, and so on

} // namespace

Concealer::Concealer(uint32_t rate_hz)
    : rate_hz_(rate_hz), history_(rate_hz * kHistory_ms / 1000, 0), period_(rate_hz / kLowestPitch_hz + 1, 0) {}

void Concealer::hear(int16_t *pcm, size_t samples) noexcept {
    if (concealed_ > 0) {
        const size_t join = std::min<size_t>(samples, rate_hz_ / kJoin_per_second);
        for (size_t i = 0; i < join; ++i) {
            const auto part = static_cast<int32_t>(i + 1);
            const auto whole = static_cast<int32_t>(join + 1);
            pcm[i] = static_cast<int16_t>((pcm[i] * part + next() * (whole - part)) / whole);
        }
        concealed_ = 0;
    }
    const size_t kept = samples < history_.size() ? history_.size() - samples : 0;
    std::copy(history_.end() - static_cast<std::ptrdiff_t>(kept), history_.end(), history_.begin());
    std::copy(pcm + samples - (history_.size() - kept), pcm + samples,
              history_.begin() + static_cast<std::ptrdiff_t>(kept));
}

void Concealer::conceal(int16_t *pcm, size_t samples) noexcept {
    if (concealed_ == 0)
        find_period();
    for (size_t i = 0; i < samples; ++i)
        pcm[i] = next();
}

void Concealer::noise(int16_t *pcm, size_t samples, int level_dbov) noexcept {
    // Uniform noise between -peak and peak has the power peak * peak / 3.
    const double rms = 32768.0 * std::pow(10.0, -std::clamp(level_dbov, 0, 127) / 20.0);
    const auto peak = static_cast<int32_t>(std::min(32767.0, rms * std::sqrt(3.0)));
    for (size_t i = 0; i < samples; ++i) {
        random_ = random_ * 1664525u + 1013904223u;
        pcm[i] = static_cast<int16_t>(int64_t{static_cast<int32_t>(random_)} * peak >> 31);
    }
    concealed_ = 0;
}

// The lag at which the last 10 ms resemble what went before most.
void Concealer::find_period() noexcept {
    const size_t stride = std::max<size_t>(1, rate_hz_ / kSearchRate_hz);
    const size_t window = rate_hz_ / 100;
    const size_t longest = period_.size() - 1;
    const int16_t *const end = history_.data() + history_.size();
    double best = -1.0;
    period_samples_ = longest;
    for (size_t lag = rate_hz_ / kHighestPitch_hz; lag <= longest; lag += stride) {
        double product = 0, energy = 1;
        for (size_t i = 0; i < window; i += stride) {
            const double now = end[static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(window)];
            const double before =
                end[static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(window) - static_cast<std::ptrdiff_t>(lag)];
            product += now * before;
            energy += before * before;
        }
        const double likeness = product > 0 ? product * product / energy : 0;
        if (likeness > best) {
            best = likeness;
            period_samples_ = lag;
        }
    }
    std::copy(end - static_cast<std::ptrdiff_t>(period_samples_), end, period_.begin());
    // Its end is led to what went before its beginning, so that the repetition has no seam.
    const size_t seam = period_samples_ / 4;
    const int16_t *const before = end - static_cast<std::ptrdiff_t>(period_samples_ + seam);
    for (size_t i = 0; i < seam; ++i) {
        int16_t &sample = period_[period_samples_ - seam + i];
        sample = static_cast<int16_t>(
            (sample * static_cast<int32_t>(seam - i) + before[i] * static_cast<int32_t>(i + 1)) /
            static_cast<int32_t>(seam + 1));
    }
    step_ = end[-1] - end[-static_cast<std::ptrdiff_t>(period_samples_) - 1];
}

int16_t Concealer::next() noexcept {
    const size_t at = concealed_++;
    const size_t hold = rate_hz_ * kHold_ms / 1000, fade = rate_hz_ * kFade_ms / 1000;
    if (at >= hold + fade)
        return 0;
    int64_t sample = period_[at % period_samples_];
    const size_t join = period_samples_ / 4;
    if (at < join)
        sample += int64_t{step_} * static_cast<int64_t>(join - at) / static_cast<int64_t>(join);
    if (at > hold)
        sample = sample * static_cast<int64_t>(hold + fade - at) / static_cast<int64_t>(fade);
    return static_cast<int16_t>(std::clamp<int64_t>(sample, -32768, 32767));
}

} // namespace parley
