// SPDX-License-Identifier: GPL-3.0-or-later
// The one thread that gives every call its beat.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace parley {

int64_t monotonic_ns() noexcept;

// Something that wants to be called once per frame.
class Ticker {
  public:
    virtual ~Ticker() = default;
    virtual void tick(int64_t now_ns) noexcept = 0;
    // The machine stood still: so many frames were left out before the next tick.
    virtual void skipped(unsigned frames) noexcept = 0;
};

struct ClockStats {
    uint64_t bursts = 0; // wake-ups, each ticking one group
    uint64_t ticks = 0;  // frames
    uint64_t late = 0;   // bursts that began more than 5 ms after their time
    uint64_t skipped_bursts = 0;
    int64_t max_late_us = 0;
    int64_t max_burst_us = 0; // longest time spent in one group
    // Bursts by lateness: below 0.1, 0.5, 1, 2, 5, 10, 20 ms, and beyond.
    std::array<uint64_t, 8> late_histogram{};
    size_t tickers = 0;
    std::string scheduling = "stopped"; // "fifo", "nice" or "normal"
};

// Absolute deadlines on CLOCK_MONOTONIC, so that no lateness accumulates. Tickers of one interval are spread over
// groups 5 ms apart: hundreds of calls do not send in one burst, and Python is woken with a quarter of them at a time.
// After a stall a group catches up by at most kCatchUp frames at once; the rest is skipped, counted, and told.
class MediaClock {
  public:
    static constexpr int64_t kPhase_ns = 5'000'000;
    static constexpr int64_t kCatchUp = 2;

    struct Hooks {
        std::function<void()> thread_started; // on the clock thread, before the first tick
        std::function<void()> burst_done;     // on the clock thread, after each group
    };

    explicit MediaClock(Hooks hooks = {});
    ~MediaClock();
    MediaClock(const MediaClock &) = delete;
    MediaClock &operator=(const MediaClock &) = delete;

    void start();
    void stop(); // returns when no tick is under way and none will come
    bool running() const;

    void attach(std::shared_ptr<Ticker> ticker, int64_t interval_ns);
    // Returns when no tick of this ticker is under way and none will come. Not to be called from within a tick.
    void detach(const Ticker *ticker);

    ClockStats stats() const;

  private:
    struct Entry {
        std::shared_ptr<Ticker> ticker;
        std::mutex mutex; // held while ticking
        bool live = true;
    };
    using Entries = std::vector<std::shared_ptr<Entry>>;
    struct Group {
        int64_t interval_ns;
        int64_t deadline_ns;
        std::shared_ptr<const Entries> entries; // copied on change, so that the clock needs no lock to walk it
    };

    void run();
    void raise_priority();
    Group *next_group();
    void record(int64_t late_ns, int64_t skipped, size_t ticks);

    const Hooks hooks_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::unique_ptr<Group>> groups_;
    ClockStats stats_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace parley
