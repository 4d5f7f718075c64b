// SPDX-License-Identifier: GPL-3.0-or-later
// Where the calls' audio meets the event loop: one file descriptor for all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace parley {

class PcmPort;

// Ports with something to tell put themselves on a list; the eventfd is written at most once until the next collect().
// Nothing is queued here but the ports themselves, each at most once, so the list needs no bound of its own.
class PcmHub {
  public:
    static constexpr int64_t kPulse_ns = 5'000'000;

    PcmHub();
    ~PcmHub();
    PcmHub(const PcmHub &) = delete;
    PcmHub &operator=(const PcmHub &) = delete;

    int fd() const noexcept { return fd_; }
    uint64_t wakeups() const noexcept { return wakeups_.load(std::memory_order_relaxed); }

    // Any thread.
    void ready(PcmPort &port) noexcept;
    void signal() noexcept; // after one or more ready()
    // The same, for one packet out of thousands: wakes the reader unless that was done a moment ago; then it is left to
    // the next pulse.
    void nudge(int64_t now_ns) noexcept;
    // This port wants its pulse() until it says no. To be called once until then.
    void watch(std::shared_ptr<PcmPort> port);

    // The clock's, every kPulse_ns while there are calls.
    void pulse(int64_t now_ns) noexcept;

    // The event loop's thread: the ports that became ready, first one first.
    void collect(std::vector<std::shared_ptr<PcmPort>> &ports);

  private:
    const int fd_;
    std::atomic<PcmPort *> newest_{nullptr};
    std::atomic<bool> signalled_{false};
    std::atomic<uint64_t> wakeups_{0};
    std::atomic<int64_t> signalled_ns_{0};

    std::mutex watch_mutex_; // held for a few pointers
    std::vector<std::shared_ptr<PcmPort>> watched_;
    std::vector<std::shared_ptr<PcmPort>> pulsed_; // the clock's
};

} // namespace parley
