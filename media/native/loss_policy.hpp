// SPDX-License-Identifier: GPL-3.0-or-later
// What the peer's receiver reports say about the way there, and how much protection that is worth.
#pragma once

#include <cstdint>

namespace parley {

// Receiver reports (RFC 3550 section 6.4) come every few seconds, and one lost packet in one of them means little: the
// estimate moves half of the way up to what a report says, a quarter of the way down. Protection begins above one
// threshold and ends below half of it, so it takes ten clean reports (about 50 s) to come down from 10 % loss.
// No report, no change: who does not report gets no protection.
class LossPolicy {
  public:
    static constexpr double kOneGeneration = 0.01; // share of packets lost
    static constexpr double kTwoGenerations = 0.07;
    static constexpr uint64_t kMinPackets = 25; // less says nothing

    // `least` generations are sent whatever is reported.
    explicit LossPolicy(unsigned least = 0) noexcept : least_(least), generations_(least) {}

    // `reports` that came so far, packets `sent` so far, and of these `lost` as the newest report has it. True when
    // something was new and loss() or generations() may have changed.
    bool receive_totals(uint64_t reports, uint64_t sent, uint64_t lost) noexcept;

    double loss() const noexcept { return loss_; } // smoothed share, 0 to 1
    unsigned generations() const noexcept { return generations_; }

  private:
    const unsigned least_;
    uint64_t reports_ = 0;
    uint64_t sent_ = 0;
    uint64_t lost_ = 0;
    bool reported_ = false;
    double loss_ = 0.0;
    unsigned generations_;
};

} // namespace parley
