// SPDX-License-Identifier: GPL-3.0-or-later
#include "loss_policy.hpp"

#include <algorithm>

namespace parley {

bool LossPolicy::receive_totals(uint64_t reports, uint64_t sent, uint64_t lost) noexcept {
    if (reports == reports_)
        return false;
    reports_ = reports;
    if (sent < sent_ + kMinPackets)
        return false; // its packets count with the next report's
    // A peer counts a duplicate as a packet received, so its total may also fall.
    const uint64_t more_sent = sent - sent_;
    const uint64_t more_lost = lost > lost_ ? std::min(lost - lost_, more_sent) : 0;
    sent_ = sent;
    lost_ = lost;

    const double reported = static_cast<double>(more_lost) / static_cast<double>(more_sent);
    const double step = !reported_ ? 1.0 : reported > loss_ ? 0.5 : 0.25;
    loss_ += step * (reported - loss_);
    reported_ = true;

    const double keep = 0.5;
    unsigned wanted = 0;
    if (loss_ > kTwoGenerations || (generations_ == 2 && loss_ > keep * kTwoGenerations))
        wanted = 2;
    else if (loss_ > kOneGeneration || (generations_ > 0 && loss_ > keep * kOneGeneration))
        wanted = 1;
    generations_ = std::max(wanted, least_);
    return true;
}

} // namespace parley
