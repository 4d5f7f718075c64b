// SPDX-License-Identifier: GPL-3.0-or-later
// One leg's audio on its way into another's: a short queue between two threads and two clocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "uplink_ring.hpp"

struct SpeexResamplerState_;

namespace parley {

struct MixLineCounters {
    uint64_t shortages = 0;    // the queue ran dry: a gap, however long
    uint64_t cuts = 0;         // the queue was longer than it had to be, and was shortened
    uint64_t dropped = 0;      // frames that nobody fetched in time
    int64_t queued_samples = 0; // after the latest frame, at the reader's rate

    MixLineCounters &operator+=(const MixLineCounters &other) noexcept;
};

// The writer gives frames as the network brings them; the reader takes one on every beat of its own. What is left in the
// queue after a beat is delay that the worst frame of late did not need, so:
// - a queue that runs dry is led out and starts again with the next audio, kKeep behind it: it has grown by the gap;
// - if for a while never less than kKeep + kSlack was left, the rest is cut out: where it is quiet, and after twice that
//   while anywhere, one end faded into the other over 5 ms. Every gap doubles the while, up to kLongestWatch;
// - kFar and more for kFarWatch (a machine stood still) is cut anywhere.
// Clocks that drift fill or empty the queue by less than a millisecond in ten seconds, and are followed the same way.
//
// Lock-free. Bounded: what is not fetched makes the ring drop its oldest frames, what is fetched and not played stays
// below kLongest, the oldest giving way.
class MixLine {
  public:
    static constexpr int64_t kKeep_ms = 2;
    static constexpr int64_t kSlack_ms = 6;
    static constexpr int64_t kFar_ms = 100;
    static constexpr int64_t kFarWatch_ms = 300;
    static constexpr int64_t kLongest_ms = 400;
    static constexpr int64_t kWatch_ms = 2'000;
    static constexpr int64_t kLongestWatch_ms = 64'000;

    MixLine(uint32_t source_id, int track, double gain);
    ~MixLine();
    MixLine(const MixLine &) = delete;
    MixLine &operator=(const MixLine &) = delete;

    // ---- anybody
    uint32_t source_id() const noexcept { return source_id_; }
    int track() const noexcept { return track_; }
    void set_gain(double gain) noexcept;
    // Fade out over one frame; over() follows.
    void close() noexcept { closing_.store(true, std::memory_order_relaxed); }
    bool closing() const noexcept { return closing_.load(std::memory_order_relaxed); }
    bool over() const noexcept { return over_.load(std::memory_order_acquire); }
    MixLineCounters counters() const noexcept;

    // ---- writer
    void write(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept;

    // ---- reader
    // Add the next samples to `out`, saturating; silent ones pass unheard. Another rate than the writer's is converted.
    void mix_into(int16_t *out, size_t samples, uint32_t rate_hz, bool silent) noexcept;
    // Throw away what waits: it belongs to a moment that is past.
    void flush() noexcept;

  private:
    static constexpr size_t kSlots = 24;
    static constexpr size_t kSlotSamples = 320;
    static constexpr int32_t kUnity = 1 << 15;
    static constexpr int kQuiet = 100; // mean of the samples' absolute values, -50 dBov

    void set_rate(uint32_t rate_hz);
    void fetch() noexcept;
    void convert(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept;
    void append(const int16_t *pcm, size_t samples) noexcept;
    void watch(size_t samples) noexcept;
    void watch_anew() noexcept;
    void shorten(size_t samples) noexcept;
    void add(int16_t *out, size_t samples, bool lead_in) noexcept;
    int32_t glide(size_t i) const noexcept;
    size_t of_ms(int64_t ms) const noexcept { return static_cast<size_t>(ms * rate_hz_ / 1000); }

    const uint32_t source_id_;
    const int track_;
    std::atomic<int32_t> gain_{kUnity};
    std::atomic<bool> closing_{false};
    std::atomic<bool> over_{false};
    std::atomic<uint64_t> shortages_{0}, cuts_{0};
    std::atomic<int64_t> left_{0};

    UplinkRing ring_{kSlots, kSlotSamples};

    // The reader's.
    struct FreeResampler {
        void operator()(SpeexResamplerState_ *state) const noexcept;
    };
    std::unique_ptr<SpeexResamplerState_, FreeResampler> resampler_;
    uint32_t resampled_hz_ = 0; // what the resampler takes
    uint32_t rate_hz_ = 0;
    std::vector<int16_t> slot_;
    std::vector<int16_t> converted_;
    std::vector<int16_t> queue_; // samples from begin_ to end_
    size_t begin_ = 0;
    size_t end_ = 0;
    bool flowing_ = false;
    int16_t last_ = 0;
    int32_t from_gain_ = 0; // of this frame, at its beginning and its end
    int32_t to_gain_ = 0;
    size_t frame_samples_ = 0;
    size_t watched_ = 0; // samples since which `low_` holds
    size_t low_ = 0;     // least that was left
    size_t far_for_ = 0; // samples since which more than kFar has been left, and the least of it
    size_t far_low_ = 0;
    int64_t watch_ms_ = kWatch_ms;
};

} // namespace parley
