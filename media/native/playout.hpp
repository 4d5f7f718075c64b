// SPDX-License-Identifier: GPL-3.0-or-later
// The agent's audio on its way to the caller: samples tagged with the utterance they belong to.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "spsc_ring.hpp"

namespace parley {

// What of an utterance has been handed to the RTP stream, and what never will be.
struct Heard {
    uint32_t utterance_id = 0;
    int64_t heard_samples = 0;
    int64_t discarded_samples = 0;
};

enum class Transition : uint8_t { kStarted, kFinished, kUnderrun };

struct PlayoutMark {
    Transition kind;
    uint32_t utterance_id;
    int64_t samples; // heard, for kFinished
};

// One writer side (its callers take turns), one reader: the clock. Both see one line of samples, numbered from the
// first ever written; `read_` is the number of the next sample to be sent. The clock claims a frame by moving `read_`
// past it; clear() throws everything away by moving `read_` to the end. Whoever moves it first decides, so what
// clear() reports as heard is exactly what the clock has claimed.
//
// Bounded: beyond `capacity` samples write() accepts no more and says how many it took. Memory comes in chunks as it
// is needed and goes back once read.
class Playout {
  public:
    Playout() = default;
    Playout(const Playout &) = delete;
    Playout &operator=(const Playout &) = delete;

    // ---- writer

    // Utterances come one after another: a new id ends the one before. An id that was ended or cleared accepts nothing
    // more (audio of cancelled work that arrives late), nor does any smaller id.
    size_t write(uint32_t utterance_id, const int16_t *pcm, size_t samples);
    void end(uint32_t utterance_id);
    // Ended utterances that were wholly sent are not in the result: their kFinished is under way.
    std::vector<Heard> clear();
    // Send up to `samples` of what was sent last once more, as far as it belongs to the utterance that is under way;
    // they are not heard until they have been sent again. Returns how many. Asked for while nobody pulls: a pause.
    size_t rewind(size_t samples);
    std::optional<Heard> progress();
    int64_t queued() const noexcept {
        return written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire);
    }
    // Give back the memory of what has been read.
    void trim();

    // ---- both sides at rest

    // Start, or go on at another rate after a re-INVITE: what is queued is converted.
    void set_rate(uint32_t rate_hz, uint32_t capacity_ms);
    // No clock will read for a while, or none has begun to: clear() may free at once.
    void settle();

    // ---- reader

    // Fill up to `samples` samples; the rest of `out` is untouched. Marks passed on the way are appended to `marks`,
    // at most `max_marks`; the others come with the next call.
    size_t pull(int16_t *out, size_t samples, PlayoutMark *marks, size_t max_marks, size_t &mark_count);
    // Whether the last pull() found that the queue had been cleared: what it filled does not continue what went before.
    bool was_cleared() const noexcept { return cleared_; }
    // Whether, as of the last pull(), an utterance has begun and its end has not been reached, queued or not.
    bool in_utterance() const noexcept { return in_utterance_; }

  private:
    static constexpr int64_t kChunk = 2048;
    static constexpr size_t kMarkers = 128;
    static constexpr int64_t kKeep_ms = 400; // of what was sent, for rewind()

    struct Segment {
        uint32_t utterance_id;
        int64_t start;
        int64_t end;
        bool ended;
    };
    struct Marker {
        int64_t position;
        int64_t samples;
        uint32_t utterance_id;
        bool is_end;
    };
    using Chunk = std::unique_ptr<int16_t[]>;

    bool close_last();
    void free_chunks();
    void copy_in(int64_t position, const int16_t *pcm, size_t samples);
    void copy_out(int64_t position, int16_t *out, size_t samples) const;

    uint32_t rate_hz_ = 0;
    int64_t capacity_ = 0;

    // Writer's.
    std::deque<Segment> segments_;
    int64_t closed_id_ = -1;
    int64_t freed_ = 0; // chunks below this position have been given back
    int64_t kept_from_ = 0; // below, nothing was kept: another rate
    Chunk spare_;

    // Shared. A chunk pointer is written before `written_` covers it and freed after `settled_` has passed it.
    std::vector<Chunk> chunks_;
    SpscRing<Marker> markers_{kMarkers};
    std::atomic<int64_t> written_{0};
    std::atomic<int64_t> read_{0};
    std::atomic<int64_t> settled_{0};  // the clock is done with everything below
    std::atomic<uint32_t> clears_{0}; // also counts those that found nothing left to discard

    // Reader's.
    int64_t position_ = 0; // `read_` as this side last left it
    bool in_utterance_ = false;
    bool starved_ = false;
    bool cleared_ = false;
    uint32_t clears_seen_ = 0;
    uint32_t current_id_ = 0;
};

} // namespace parley
