// SPDX-License-Identifier: GPL-3.0-or-later
#include "mix_line.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <speex/speex_resampler.h>

namespace parley {

namespace {

constexpr uint32_t kRamp_per_second = 200; // 5 ms
constexpr uint32_t kHighest_hz = 48000;
constexpr size_t kNothing = std::numeric_limits<size_t>::max();

int16_t saturate(int32_t value) noexcept { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }

} // namespace

MixLineCounters &MixLineCounters::operator+=(const MixLineCounters &other) noexcept {
    shortages += other.shortages;
    cuts += other.cuts;
    dropped += other.dropped;
    queued_samples += other.queued_samples;
    return *this;
}

void MixLine::FreeResampler::operator()(SpeexResamplerState_ *state) const noexcept { speex_resampler_destroy(state); }

MixLine::MixLine(uint32_t source_id, int track, double gain)
    : source_id_(source_id), track_(track), slot_(kSlotSamples) {
    set_gain(gain);
}

MixLine::~MixLine() = default;

void MixLine::set_gain(double gain) noexcept {
    gain_.store(static_cast<int32_t>(std::lround(std::clamp(gain, 0.0, 4.0) * kUnity)), std::memory_order_relaxed);
}

MixLineCounters MixLine::counters() const noexcept {
    return {shortages_.load(std::memory_order_relaxed), cuts_.load(std::memory_order_relaxed), ring_.dropped(),
            left_.load(std::memory_order_relaxed)};
}

// ---- writer

void MixLine::write(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept {
    if (closing())
        return;
    UplinkFrame part;
    part.rate_hz = rate_hz;
    while (samples > 0) {
        part.samples = static_cast<uint16_t>(std::min(samples, kSlotSamples));
        ring_.push(part, pcm);
        pcm += part.samples;
        samples -= part.samples;
    }
}

// ---- reader

void MixLine::flush() noexcept {
    UplinkFrame frame;
    while (ring_.pop(frame, slot_.data())) {
    }
    begin_ = end_ = 0;
    flowing_ = false;
    last_ = 0;
}

// Allocates: once at the beginning, and when a re-INVITE changes a codec.
void MixLine::set_rate(uint32_t rate_hz) {
    rate_hz_ = rate_hz;
    resampler_.reset();
    resampled_hz_ = 0;
    queue_.assign(2 * of_ms(kLongest_ms), 0);
    begin_ = end_ = 0;
    flowing_ = false;
    last_ = 0;
}

void MixLine::fetch() noexcept {
    UplinkFrame frame;
    while (ring_.pop(frame, slot_.data()))
        if (frame.rate_hz == rate_hz_)
            append(slot_.data(), frame.samples);
        else
            convert(frame.rate_hz, slot_.data(), frame.samples);
}

void MixLine::convert(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept {
    if (rate_hz != resampled_hz_) {
        resampled_hz_ = rate_hz;
        resampler_.reset(speex_resampler_init(1, rate_hz, rate_hz_, SPEEX_RESAMPLER_QUALITY_VOIP, nullptr));
        converted_.resize(kSlotSamples * kHighest_hz / 8000 + 64);
    }
    if (!resampler_)
        return;
    auto taken = static_cast<spx_uint32_t>(samples), made = static_cast<spx_uint32_t>(converted_.size());
    speex_resampler_process_int(resampler_.get(), 0, pcm, &taken, converted_.data(), &made);
    append(converted_.data(), made);
}

void MixLine::append(const int16_t *pcm, size_t samples) noexcept {
    samples = std::min(samples, queue_.size() / 2);
    const size_t longest = of_ms(kLongest_ms);
    if (end_ - begin_ + samples > longest)
        begin_ = end_ + samples - longest;
    if (end_ + samples > queue_.size()) {
        std::memmove(queue_.data(), queue_.data() + begin_, (end_ - begin_) * sizeof(int16_t));
        end_ -= begin_;
        begin_ = 0;
    }
    std::memcpy(queue_.data() + end_, pcm, samples * sizeof(int16_t));
    end_ += samples;
}

void MixLine::mix_into(int16_t *out, size_t samples, uint32_t rate_hz, bool silent) noexcept {
    if (rate_hz != rate_hz_)
        set_rate(rate_hz);
    fetch();
    from_gain_ = to_gain_;
    to_gain_ = silent || closing() ? 0 : gain_.load(std::memory_order_relaxed);
    frame_samples_ = samples;

    const size_t keep = of_ms(kKeep_ms);
    if (flowing_)
        shorten(samples);
    const size_t queued = end_ - begin_;
    if (flowing_ && queued >= samples) {
        add(out, samples, false);
        watch(samples);
    } else if (flowing_) {
        add(out, queued, false);
        const size_t ramp = std::min<size_t>(samples - queued, rate_hz / kRamp_per_second);
        for (size_t i = 0; i < ramp; ++i) {
            const int32_t tail = last_ * static_cast<int32_t>(ramp - 1 - i) / static_cast<int32_t>(ramp);
            out[queued + i] = saturate(out[queued + i] + static_cast<int32_t>(int64_t{tail} * glide(queued + i) / kUnity));
        }
        flowing_ = false;
        shortages_.fetch_add(1, std::memory_order_relaxed);
        watch_ms_ = std::min(2 * watch_ms_, kLongestWatch_ms);
    } else if (queued > keep) {
        const size_t first = std::min(samples, queued - keep);
        from_gain_ = to_gain_;
        add(out + (samples - first), first, true);
        flowing_ = true;
        watch_anew();
    }
    left_.store(static_cast<int64_t>(end_ - begin_), std::memory_order_relaxed);
    if (closing())
        over_.store(true, std::memory_order_release);
}

int32_t MixLine::glide(size_t i) const noexcept {
    return from_gain_ + static_cast<int32_t>((int64_t{to_gain_} - from_gain_) * static_cast<int64_t>(i + 1) /
                                             static_cast<int64_t>(frame_samples_));
}

void MixLine::add(int16_t *out, size_t samples, bool lead_in) noexcept {
    const int16_t *pcm = queue_.data() + begin_;
    begin_ += samples;
    if (samples > 0)
        last_ = pcm[samples - 1];
    const size_t ramp = lead_in ? std::min<size_t>(samples, rate_hz_ / kRamp_per_second) : 0;
    if (from_gain_ == kUnity && to_gain_ == kUnity && ramp == 0) {
        for (size_t i = 0; i < samples; ++i)
            out[i] = saturate(out[i] + pcm[i]);
    } else if (from_gain_ != 0 || to_gain_ != 0) {
        for (size_t i = 0; i < samples; ++i) {
            int64_t value = int64_t{pcm[i]} * glide(i) / kUnity;
            if (i < ramp)
                value = value * static_cast<int64_t>(i) / static_cast<int64_t>(ramp);
            out[i] = saturate(out[i] + static_cast<int32_t>(value));
        }
    }
}

void MixLine::watch(size_t samples) noexcept {
    const size_t left = end_ - begin_;
    watched_ += samples;
    low_ = std::min(low_, left);
    if (left > of_ms(kFar_ms)) {
        far_for_ += samples;
        far_low_ = std::min(far_low_, left);
    } else {
        far_for_ = 0;
        far_low_ = kNothing;
    }
}

void MixLine::watch_anew() noexcept {
    watched_ = far_for_ = 0;
    low_ = far_low_ = kNothing;
}

void MixLine::shorten(size_t samples) noexcept {
    const size_t keep = of_ms(kKeep_ms), watch = of_ms(watch_ms_);
    const bool far = far_for_ >= of_ms(kFarWatch_ms);
    if (!far && watched_ < watch)
        return;
    const size_t low = far ? far_low_ : low_;
    if (low <= keep + of_ms(kSlack_ms)) {
        watch_anew();
        return;
    }
    const size_t cut = low - keep, ramp = rate_hz_ / kRamp_per_second;
    if (end_ - begin_ < cut + std::max(samples, ramp)) // the frame that is due has not come: not now
        return;
    int16_t *pcm = queue_.data() + begin_;
    int64_t loudness = 0;
    for (size_t i = 0; i < cut; ++i)
        loudness += std::abs(int{pcm[i]});
    if (!far && watched_ < 2 * watch && loudness >= kQuiet * static_cast<int64_t>(cut))
        return;
    for (size_t i = 0; i < ramp; ++i)
        pcm[cut + i] = static_cast<int16_t>((pcm[i] * static_cast<int32_t>(ramp - i) + pcm[cut + i] * static_cast<int32_t>(i)) /
                                            static_cast<int32_t>(ramp));
    begin_ += cut;
    watch_anew();
    cuts_.fetch_add(1, std::memory_order_relaxed);
}

} // namespace parley
