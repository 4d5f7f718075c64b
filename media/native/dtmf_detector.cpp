// SPDX-License-Identifier: GPL-3.0-or-later
#include "dtmf_detector.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dtmf_frequencies.hpp"

namespace parley {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kHop_s = 0.010F, kWindow_s = 0.020F;
constexpr int kPressWindows = 3, kReleaseWindows = 2;
constexpr uint32_t kHop_ms = 10;

// Powers relative to a full-scale square wave (dBov); 0 dBm0 is -6.2 dBov.
constexpr float kQuietest = 1e-4F;     // -40 dBov for each tone: what Q.24 wants heard is 10 dB above
constexpr float kSilence = 2e-4F;      // a window that cannot hold two of them
constexpr float kShare = 0.74F;        // of all power, in a window that may hold the edge of a tone
constexpr float kPurest = 0.90F;       // in the best of the windows: noise 10 dB below
constexpr float kShareHeld = 0.60F;    // once pressed
constexpr float kColumnLouder = 4.0F;  // 6 dB; Q.24 has 4 dB (twist)
constexpr float kRowLouder = 10.0F;    // 10 dB; Q.24 has 8 dB
constexpr float kSteady = 6.3F;        // 8 dB from window to window
constexpr float kHeld = 0.06F;         // -12 dB: softer than that is released
constexpr float kOffLimit = 0.026F;    // of the frequency: between 1.5 % and 3.5 %

double frequency_hz(size_t tone) noexcept { return tone < 4 ? kDtmfRows_hz[tone] : kDtmfColumns_hz[tone - 4]; }

// What a Hann window of 20 ms leaves of the power of a tone that is off by so many hertz.
float left_of_power(float off_hz) noexcept {
    const float x = std::min(std::fabs(off_hz) * kWindow_s, 0.95F);
    if (x < 1e-3F)
        return 1.0F;
    const float sinc = std::sin(static_cast<float>(kPi) * x) / (static_cast<float>(kPi) * x);
    const float gain = sinc / (1.0F - x * x);
    return gain * gain;
}

bool near(float one, float other) noexcept { return one < other * kSteady && other < one * kSteady; }

} // namespace

struct DtmfDetector::Window {
    size_t samples;
    size_t hop;
    float to_power;    // |sum|^2 to the power of the tone
    float of_weighted; // mean of weighted squares to the mean of squares
    std::vector<float> hann;
    std::vector<float> waves;         // samples x 16: cosines and negative sines of the eight frequencies
    std::array<float, kTones> turn{}; // phase from one window to the next

    explicit Window(uint32_t rate_hz)
        : samples(static_cast<size_t>(rate_hz * kWindow_s + 0.5F)), hop(samples / 2), hann(samples),
          waves(samples * 2 * kTones) {
        double sum = 0, squares = 0;
        for (size_t n = 0; n < samples; ++n) {
            const double weight = 0.5 - 0.5 * std::cos(2 * kPi * (static_cast<double>(n) + 0.5) / static_cast<double>(samples));
            hann[n] = static_cast<float>(weight);
            sum += weight;
            squares += weight * weight;
            for (size_t tone = 0; tone < kTones; ++tone) {
                const double angle = 2 * kPi * frequency_hz(tone) * static_cast<double>(n) / rate_hz;
                waves[n * 2 * kTones + tone] = static_cast<float>(weight * std::cos(angle));
                waves[n * 2 * kTones + kTones + tone] = static_cast<float>(-weight * std::sin(angle));
            }
        }
        to_power = static_cast<float>(2 / (sum * sum));
        of_weighted = static_cast<float>(1 / squares);
        for (size_t tone = 0; tone < kTones; ++tone)
            turn[tone] = static_cast<float>(
                std::remainder(2 * kPi * frequency_hz(tone) * static_cast<double>(hop) / rate_hz, 2 * kPi));
    }
};

const DtmfDetector::Window &DtmfDetector::window_for(uint32_t rate_hz) {
    static const Window k8{8000}, k16{16000}, k24{24000}, k48{48000};
    return rate_hz >= 48000 ? k48 : rate_hz >= 24000 ? k24 : rate_hz >= 16000 ? k16 : k8;
}

void DtmfDetector::set_rate(uint32_t rate_hz) {
    window_ = &window_for(rate_hz);
    heard_.assign(window_->samples, 0.0F);
    fresh_ = 0;
    has_before_ = false;
    count_ = 0;
    last_ = Sound{};
    pressed_ = false;
}

void DtmfDetector::receive(const int16_t *pcm, size_t samples, int64_t now_ns) noexcept {
    const size_t hop = window_->hop;
    while (samples > 0) {
        const size_t taken = std::min(samples, hop - fresh_);
        float *to = heard_.data() + hop + fresh_;
        for (size_t i = 0; i < taken; ++i)
            to[i] = static_cast<float>(pcm[i]) * (1.0F / 32768);
        pcm += taken;
        samples -= taken;
        fresh_ += taken;
        if (fresh_ < hop)
            return;
        judge(listen(), now_ns);
        std::memmove(heard_.data(), heard_.data() + hop, hop * sizeof(float));
        fresh_ = 0;
    }
}

bool DtmfDetector::next(KeyEvent &event) noexcept {
    if (out_begin_ == out_end_)
        return false;
    event = out_[out_begin_++ % out_.size()];
    return true;
}

DtmfDetector::Sound DtmfDetector::listen() noexcept {
    const Window &window = *window_;
    float weighted = 0;
    for (size_t n = 0; n < window.samples; ++n) {
        const float one = heard_[n] * window.hann[n];
        weighted += one * one;
    }
    const float power = weighted * window.of_weighted;
    Sound sound;
    if (power < kSilence) {
        has_before_ = false;
        return sound;
    }
    std::array<float, 2 * kTones> sums{};
    const float *wave = window.waves.data();
    for (size_t n = 0; n < window.samples; ++n, wave += 2 * kTones) {
        const float one = heard_[n];
        for (size_t i = 0; i < 2 * kTones; ++i)
            sums[i] += one * wave[i];
    }
    Spectrum spectrum;
    for (size_t tone = 0; tone < kTones; ++tone)
        spectrum[tone] = {sums[tone], sums[kTones + tone]};
    const auto louder = [&](size_t one, size_t other) { return std::norm(spectrum[one]) < std::norm(spectrum[other]); };
    size_t row = 0, column = 4;
    for (size_t tone = 1; tone < 4; ++tone) {
        row = louder(row, tone) ? tone : row;
        column = louder(column, 4 + tone) ? 4 + tone : column;
    }
    const float row_off = has_before_ ? deviation_hz(row, spectrum) : 0;
    const float column_off = has_before_ ? deviation_hz(column, spectrum) : 0;
    const auto row_limit = static_cast<float>(frequency_hz(row)) * kOffLimit;
    const auto column_limit = static_cast<float>(frequency_hz(column)) * kOffLimit;
    sound.exact = has_before_ && std::fabs(row_off) < row_limit && std::fabs(column_off) < column_limit;
    // How far off it is can be believed only where it is little.
    sound.row = std::norm(spectrum[row]) * window.to_power / left_of_power(std::min(std::fabs(row_off), row_limit));
    sound.column =
        std::norm(spectrum[column]) * window.to_power / left_of_power(std::min(std::fabs(column_off), column_limit));
    sound.key = kDtmfKeys[row][column - 4];
    sound.share = (sound.row + sound.column) / power;
    const float wanted = pressed_ && sound.key == key_ ? kShareHeld : kShare;
    sound.tonal = sound.row > kQuietest && sound.column > kQuietest && sound.column < sound.row * kColumnLouder &&
                  sound.row < sound.column * kRowLouder && sound.share > wanted;
    before_ = spectrum;
    has_before_ = true;
    return sound;
}

float DtmfDetector::deviation_hz(size_t tone, const Spectrum &spectrum) const noexcept {
    const std::complex<float> turned = spectrum[tone] * std::conj(before_[tone]);
    const float angle = std::remainder(std::arg(turned) - window_->turn[tone], static_cast<float>(2 * kPi));
    return angle / (static_cast<float>(2 * kPi) * kHop_s);
}

void DtmfDetector::judge(const Sound &sound, int64_t now_ns) noexcept {
    const bool goes_on = sound.tonal && sound.exact && last_.tonal && sound.key == last_.key &&
                         near(sound.row, last_.row) && near(sound.column, last_.column);
    count_ = goes_on ? count_ + 1 : sound.tonal ? 1 : 0;
    purest_ = goes_on ? std::max(purest_, sound.share) : sound.share;
    last_ = sound;
    if (pressed_) {
        const bool held = sound.tonal && sound.key == key_ && std::min(sound.row, sound.column) > kHeld * level_;
        misses_ = held ? 0 : misses_ + 1;
        ++windows_;
        if (misses_ == kReleaseWindows)
            release(now_ns);
    }
    if (count_ >= kPressWindows && purest_ > kPurest && !(pressed_ && sound.key == key_)) {
        if (pressed_)
            release(now_ns);
        pressed_ = true;
        key_ = sound.key;
        level_ = std::min(sound.row, sound.column);
        misses_ = 0;
        windows_ = kPressWindows;
        out_[out_end_++ % out_.size()] = {key_, false, 0, now_ns};
    }
}

void DtmfDetector::release(int64_t now_ns) noexcept {
    pressed_ = false;
    count_ = 0;
    const uint32_t sounding = windows_ - static_cast<uint32_t>(misses_);
    out_[out_end_++ % out_.size()] = {key_, true, sounding * kHop_ms, now_ns};
}

} // namespace parley
