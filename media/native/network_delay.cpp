// SPDX-License-Identifier: GPL-3.0-or-later
#include "network_delay.hpp"

#include <algorithm>

namespace parley {

namespace {

constexpr int64_t kMs = 1'000'000;

} // namespace

JitterLimits limits_of(JitterPolicy policy) noexcept {
    switch (policy) {
    case JitterPolicy::kLowLatency:
        return {0, 20 * kMs, 30 * kMs, 80 * kMs};
    case JitterPolicy::kRobust:
        return {20 * kMs, 200 * kMs, 100 * kMs, 400 * kMs};
    case JitterPolicy::kBalanced:
        break;
    }
    return {0, 60 * kMs, 60 * kMs, 160 * kMs};
}

NetworkDelay::NetworkDelay(JitterPolicy policy, int64_t frame_ns) noexcept
    : limits_(limits_of(policy)), frame_ns_(frame_ns) {}

void NetworkDelay::receive(int64_t lateness_ns) noexcept {
    least_ns_ = packets_ == 0 ? lateness_ns : std::min(least_ns_, lateness_ns);
    ++packets_;
    jitter_ns_ -= jitter_ns_ >> kForgetJitter;
    jitter_ns_ = std::max(jitter_ns_, std::min(lateness_ns - offset_ns(), limits_.max_stall_ns));
    reorder_ns_ -= reorder_ns_ >> kForgetReorder;
    if (packets_ == kBucketPackets) {
        least_before_ns_ = least_ns_;
        packets_ = 0;
        settled_ = true;
    }
}

void NetworkDelay::receive_reordered(int64_t behind_ns) noexcept {
    // What no wait within the limits could have caught must not make every other wait longer.
    if (behind_ns <= limits_.max_wait_ns)
        reorder_ns_ = std::max(reorder_ns_, behind_ns);
}

void NetworkDelay::shift(int64_t by_ns) noexcept {
    least_ns_ += by_ns;
    least_before_ns_ += by_ns;
}

void NetworkDelay::restart() noexcept {
    packets_ = 0;
    settled_ = false;
}

int64_t NetworkDelay::offset_ns() const noexcept {
    if (!settled_)
        return packets_ > 0 ? least_ns_ : 0;
    return packets_ > 0 ? std::min(least_ns_, least_before_ns_) : least_before_ns_;
}

int64_t NetworkDelay::wait_ns() const noexcept {
    const int64_t wanted = reorder_ns_ > 0 ? reorder_ns_ + reorder_ns_ / 8 + 2 * kMs : 0;
    return std::clamp(wanted, limits_.min_wait_ns, limits_.max_wait_ns);
}

int64_t NetworkDelay::stall_ns(bool silent) const noexcept {
    // What comes again is not earlier than the packet it comes with.
    const int64_t again_ns = redundancy_ns_ > 0 ? redundancy_ns_ + frame_ns_ / 2 : 0;
    const int64_t wanted = jitter_ns_ + jitter_ns_ / 4 + std::max(frame_ns_, again_ns);
    return std::clamp(wanted, silent ? frame_ns_ : limits_.min_stall_ns, std::max(frame_ns_, limits_.max_stall_ns));
}

} // namespace parley
