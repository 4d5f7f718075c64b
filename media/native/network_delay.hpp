// SPDX-License-Identifier: GPL-3.0-or-later
// What one peer's packets have shown of the network, and how long to wait for the next ones.
#pragma once

#include <cstdint>

namespace parley {

enum class JitterPolicy : uint8_t { kLowLatency = 0, kBalanced = 1, kRobust = 2 };

// How long is waited at least and at most: for a packet that is missing while later ones are here, and for any packet
// at all before the timeline goes on without.
struct JitterLimits {
    int64_t min_wait_ns;
    int64_t max_wait_ns;
    int64_t min_stall_ns;
    int64_t max_stall_ns;
};

JitterLimits limits_of(JitterPolicy policy) noexcept;

// Lateness is a packet's arrival against the time its place on the leg's timeline says, in ns of our clock. Its minimum
// over some seconds is free of jitter: it shows skew and changes of route. What exceeds it is jitter.
class NetworkDelay {
  public:
    NetworkDelay(JitterPolicy policy, int64_t frame_ns) noexcept;

    void receive(int64_t lateness_ns) noexcept;
    // A packet came so long after one that follows it.
    void receive_reordered(int64_t behind_ns) noexcept;
    // What is lost comes again so much later at most; 0 when it does not.
    void expect_redundancy(int64_t behind_ns) noexcept { redundancy_ns_ = behind_ns; }
    // The timeline was moved: packets will be so much later against it.
    void shift(int64_t by_ns) noexcept;
    // The sender's clock began anew: its minimum is to be found again, while the network is what it was.
    void restart() noexcept;

    // Whether offset_ns() rests on enough packets to act on.
    bool settled() const noexcept { return settled_; }
    int64_t offset_ns() const noexcept;
    int64_t wait_ns() const noexcept;
    // `silent`: the peer said that it has nothing to send.
    int64_t stall_ns(bool silent) const noexcept;

  private:
    static constexpr unsigned kBucketPackets = 100;
    static constexpr int kForgetJitter = 9;   // a peak loses half of itself in 350 packets
    static constexpr int kForgetReorder = 10; // in 700

    const JitterLimits limits_;
    const int64_t frame_ns_;
    unsigned packets_ = 0; // in the present bucket
    int64_t least_ns_ = 0; // in the present bucket
    int64_t least_before_ns_ = 0;
    bool settled_ = false;
    int64_t jitter_ns_ = 0;
    int64_t reorder_ns_ = 0;
    int64_t redundancy_ns_ = 0;
};

} // namespace parley
