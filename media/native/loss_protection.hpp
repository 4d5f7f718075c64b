// SPDX-License-Identifier: GPL-3.0-or-later
// How one stream protects what it sends: redundancy (RFC 2198), or Opus with its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <pjmedia/stream.h>

#include "loss_policy.hpp"
#include "redundancy.hpp"

namespace parley {

enum class Protection : uint8_t {
    kOff = 0,
    kMeasured = 1, // as the peer's receiver reports ask for
    kAlways = 2,   // from the first packet on, and more when they ask for it
};

struct ProtectionCounters {
    uint64_t packets = 0;     // sent with at least one redundant block
    unsigned generations = 0; // of redundancy, now
    double reported_loss = 0; // smoothed share, 0 to 1
};

// Packets are sent on the media clock; counters() may be read from any thread.
class LossProtection {
  public:
    // What was negotiated decides which kind, if any.
    LossProtection(pjmedia_stream *stream, const pjmedia_stream_info &info, Protection protection);

    // Whether packets have to be shown to send() at all.
    bool active() const noexcept { return red_ || opus_; }
    // The packet to send in place of this one, which lives until the next call.
    uint8_t *send(uint8_t *packet, unsigned &size) noexcept;

    ProtectionCounters counters() const noexcept;

  private:
    static constexpr unsigned kPacketsPerLook = 10; // reports come every few seconds

    void look_at_reports() noexcept;
    void tell_opus() noexcept;

    pjmedia_stream *const stream_;
    LossPolicy policy_;
    std::optional<RedEncoder> red_;
    unsigned max_generations_ = 0;
    bool opus_ = false;
    unsigned opus_loss_percent_ = 0;
    unsigned packets_to_look_ = kPacketsPerLook;

    std::atomic<uint64_t> packets_{0};
    std::atomic<unsigned> generations_{0};
    std::atomic<double> reported_loss_{0};
};

} // namespace parley
