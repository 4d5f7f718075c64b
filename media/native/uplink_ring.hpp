// SPDX-License-Identifier: GPL-3.0-or-later
// The caller's audio on its way to Python: whole frames with their times.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

namespace parley {

enum FrameFlag : uint16_t {
    kConcealed = 1, // more than half of the samples are made up: nothing, or nothing in time, had arrived
    kDtmf = 2,      // a key was being pressed: an RFC 4733 event was being received, or this is its tone
    kSent = 4,      // not the caller's audio but ours, as it went out
};

struct UplinkFrame {
    int64_t position = 0;   // of the first sample, on the call's continuous timeline
    int64_t arrived_ns = 0; // CLOCK_MONOTONIC, when its last packet arrived; made up: when it was made
    uint32_t rate_hz = 0;
    uint16_t samples = 0;
    uint16_t flags = 0;
};

// One producer (or several that take turns), one consumer. When full, push() drops the oldest frame and counts it: late audio is worth
// less than new audio, and the clock must not wait.
//
// The producer may therefore overwrite what the consumer is reading. Samples travel as relaxed atomic words, and the
// consumer keeps a copy only if it can still move the tail past it; a torn copy is thrown away, never seen.
class UplinkRing {
  public:
    UplinkRing(size_t frames, size_t max_samples)
        : frames_(frames), max_samples_(max_samples), words_(kHeader + (max_samples + 3) / 4),
          slots_(frames * words_) {}

    size_t max_samples() const noexcept { return max_samples_; }
    size_t size() const noexcept {
        return static_cast<size_t>(head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire));
    }
    uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

    // Producer.
    void push(const UplinkFrame &frame, const int16_t *pcm) noexcept {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        uint64_t tail = tail_.load(std::memory_order_acquire);
        if (head - tail == frames_ && tail_.compare_exchange_strong(tail, tail + 1, std::memory_order_acq_rel))
            dropped_.fetch_add(1, std::memory_order_relaxed);
        std::atomic<uint64_t> *slot = &slots_[(head % frames_) * words_];
        slot[0].store(static_cast<uint64_t>(frame.position), std::memory_order_relaxed);
        slot[1].store(static_cast<uint64_t>(frame.arrived_ns), std::memory_order_relaxed);
        slot[2].store(uint64_t{frame.rate_hz} << 32 | uint64_t{frame.samples} << 16 | frame.flags,
                      std::memory_order_relaxed);
        for (size_t i = 0; i < frame.samples; i += 4) {
            uint64_t word = 0;
            std::memcpy(&word, pcm + i, sizeof(int16_t) * (frame.samples - i < 4 ? frame.samples - i : 4));
            slot[kHeader + i / 4].store(word, std::memory_order_relaxed);
        }
        head_.store(head + 1, std::memory_order_release);
    }

    // Consumer; `pcm` has room for max_samples().
    bool pop(UplinkFrame &frame, int16_t *pcm) noexcept {
        uint64_t tail = tail_.load(std::memory_order_acquire);
        for (;;) {
            if (tail == head_.load(std::memory_order_acquire))
                return false;
            const std::atomic<uint64_t> *slot = &slots_[(tail % frames_) * words_];
            frame.position = static_cast<int64_t>(slot[0].load(std::memory_order_relaxed));
            frame.arrived_ns = static_cast<int64_t>(slot[1].load(std::memory_order_relaxed));
            const uint64_t packed = slot[2].load(std::memory_order_relaxed);
            frame.rate_hz = static_cast<uint32_t>(packed >> 32);
            frame.samples = static_cast<uint16_t>(packed >> 16);
            frame.flags = static_cast<uint16_t>(packed);
            // A torn header can name any size; the words of this slot are all there is.
            const size_t samples = frame.samples < max_samples_ ? frame.samples : max_samples_;
            for (size_t i = 0; i < samples; i += 4) {
                const uint64_t word = slot[kHeader + i / 4].load(std::memory_order_relaxed);
                std::memcpy(pcm + i, &word, sizeof(int16_t) * (samples - i < 4 ? samples - i : 4));
            }
            if (tail_.compare_exchange_strong(tail, tail + 1, std::memory_order_acq_rel))
                return true;
        }
    }

  private:
    static constexpr size_t kHeader = 3;

    const size_t frames_;
    const size_t max_samples_;
    const size_t words_;
    std::vector<std::atomic<uint64_t>> slots_;
    std::atomic<uint64_t> head_{0};
    std::atomic<uint64_t> tail_{0};
    std::atomic<uint64_t> dropped_{0};
};

} // namespace parley
