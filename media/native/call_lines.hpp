// SPDX-License-Identifier: GPL-3.0-or-later
// One call's ends of mix lines: those that carry its audio to other calls, and those that bring it theirs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "mix_line.hpp"

namespace parley {

enum class LineTrack : int {
    kHeard = 0, // what the caller says, decoded and in order
    kSpoken = 1 // what we say to it: playout, announcements and keys, but nothing that lines bring
};
enum class LineEnd : int {
    kSent = 0, // into what is sent
    kEar = 1   // into what Python hears, and nobody else
};

// Threads. Lines come and go by one thread at a time (Python's). pass_heard() is one thread's at a time, the uplink's;
// pass_sent() and flush() are the clock's. Neither of those waits: a lock held while the list changes costs them, at
// worst, this one frame.
class CallLines {
  public:
    static constexpr size_t kMost = 16; // each way
    static constexpr size_t kEarSamples = 60 * 48; // the longest frame that an ear line takes: 60 ms at 48 kHz

    // A line that is there already has its gain changed. False: there are too many.
    static bool connect(CallLines &source, uint32_t source_id, LineTrack track, CallLines &sink, LineEnd end,
                        double gain);
    static void disconnect(CallLines &source, uint32_t source_id, LineTrack track, CallLines &sink, LineEnd end);
    // Let go of lines that have faded out.
    void sweep();
    bool to_sweep() const noexcept { return to_sweep_.load(std::memory_order_relaxed); }
    MixLineCounters counters() const; // of lines that bring audio

    bool at_heard() const noexcept { return heard_.count.load(std::memory_order_relaxed) != 0; }
    // Give a caller's frame to those who listen to it; returns the frame as Python shall hear it.
    const int16_t *pass_heard(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept;

    bool at_sent() const noexcept { return sent_.count.load(std::memory_order_relaxed) != 0; }
    // The same for a frame about to be sent, with what lines bring mixed in. `silent`: those are not to be heard;
    // `secret`: nor is the frame.
    void pass_sent(uint32_t rate_hz, int16_t *pcm, size_t samples, bool silent, bool secret) noexcept;
    void flush() noexcept; // frames that were not sent

  private:
    using Lines = std::vector<std::shared_ptr<MixLine>>;
    struct Side {
        mutable std::mutex mutex;
        std::atomic<size_t> count{0}; // of both, so that a call without lines takes no lock
        Lines from_here, to_here;

        void counted() noexcept { count.store(from_here.size() + to_here.size(), std::memory_order_relaxed); }
    };

    Side &side_of(LineTrack track) noexcept { return track == LineTrack::kHeard ? heard_ : sent_; }
    Side &side_of(LineEnd end) noexcept { return end == LineEnd::kEar ? heard_ : sent_; }
    void mix(Lines &lines, uint32_t rate_hz, int16_t *pcm, size_t samples, bool silent) noexcept;

    Side heard_;
    Side sent_;
    std::vector<int16_t> ear_;
    std::atomic<bool> to_sweep_{false};
};

} // namespace parley
