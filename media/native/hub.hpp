// SPDX-License-Identifier: GPL-3.0-or-later
// Where the calls' audio meets the event loop: one file descriptor for all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace parley {

class PcmPort;

// Ports with something to tell put themselves on a list; the eventfd is written at most once until the next collect().
// Nothing is queued here but the ports themselves, each at most once, so the list needs no bound of its own.
class PcmHub {
  public:
    PcmHub();
    ~PcmHub();
    PcmHub(const PcmHub &) = delete;
    PcmHub &operator=(const PcmHub &) = delete;

    int fd() const noexcept { return fd_; }
    uint64_t wakeups() const noexcept { return wakeups_.load(std::memory_order_relaxed); }

    // Any thread.
    void ready(PcmPort &port) noexcept;
    void signal() noexcept; // after one or more ready()

    // The event loop's thread: the ports that became ready, first one first.
    void collect(std::vector<std::shared_ptr<PcmPort>> &ports);

  private:
    const int fd_;
    std::atomic<PcmPort *> newest_{nullptr};
    std::atomic<bool> signalled_{false};
    std::atomic<uint64_t> wakeups_{0};
};

} // namespace parley
