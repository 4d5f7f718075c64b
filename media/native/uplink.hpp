// SPDX-License-Identifier: GPL-3.0-or-later
// The caller's packets become frames the moment they are in order.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "concealer.hpp"
#include "network_delay.hpp"
#include "packet_decoder.hpp"
#include "uplink_ring.hpp"

namespace parley {

class FrameSink {
  public:
    virtual ~FrameSink() = default;
    virtual void take(const UplinkFrame &frame, const int16_t *pcm) noexcept = 0;
};

struct UplinkFormat {
    uint32_t rate_hz = 8000;
    uint32_t rtp_rate_hz = 8000;
    uint16_t frame_samples = 160; // of the frames given out, whatever the packets hold
};

struct UplinkPacket {
    uint32_t ssrc = 0;
    uint32_t timestamp = 0;
    uint16_t sequence = 0;
    // Out of the redundancy of another packet (RFC 2198): its sequence number is a guess, its arrival says nothing of the
    // network. The copies in a packet come before its own audio, oldest first.
    bool recovered = false;
    const uint8_t *payload = nullptr;
    size_t size = 0;
    int64_t arrived_ns = 0;
};

struct UplinkCounters {
    uint64_t packets = 0; // of any kind, without redundant copies
    uint64_t frames = 0;
    uint64_t frames_concealed = 0;
    uint64_t late = 0;      // packets whose place had been filled when they came
    uint64_t recovered = 0; // packets that redundancy or forward error correction brought
    uint64_t duplicates = 0;
    uint64_t reordered = 0; // packets that came late, but in time
    uint64_t undecodable = 0;
    uint64_t skew_corrections = 0; // frames left out or put in
    uint64_t ssrc_changes = 0;
    uint64_t resets = 0; // the sender's clock jumped, or the network stood still: its packets were placed anew

    UplinkCounters &operator+=(const UplinkCounters &other) noexcept;
};

// Engine: no clock, no lock, no allocation after construction; times are CLOCK_MONOTONIC in ns.
//
// The timeline. Positions count samples of the leg; they follow a line laid through our clock, so that what is sent can
// be placed on it too. A packet's RTP timestamp says where on it the packet belongs. Frames follow on each other without
// hole or overlap:
// - a packet that is in order is decoded at once;
// - a gap with later packets behind it waits for its packets as long as this network's reordering makes it worth
//   (NetworkDelay), then it is concealed. When no sequence number is missing there is nothing to wait for: the sender
//   was silent;
// - when nothing comes at all, concealed frames keep the timeline going, that much later than packets usually come. If
//   the network only stood still, what it then brings follows on them; nothing is thrown away up to kAhead;
// - a line that has drifted off our clock by more than a frame (clock skew, another route) is corrected by leaving out or
//   putting in a single frame, a quiet one if there is one soon.
// After standing still for more than kHole (a suspended machine) the timeline does have a hole.
//
// Whatever arrives is bounded: kSlots packets wait at most, and then the oldest gap is given up.
class Uplink {
  public:
    static constexpr size_t kMaxPayload = 1500;
    static constexpr size_t kSlots = 32;
    static constexpr int64_t kAhead_ns = 500'000'000;
    static constexpr int64_t kHole_ns = 2'000'000'000;

    // `position` is that of `now_ns` on the line; no frame will begin before `first_position`.
    Uplink(const UplinkFormat &format, JitterPolicy policy, PacketDecoder &decoder, FrameSink &sink, int64_t position,
           int64_t first_position, int64_t now_ns);

    void receive(const UplinkPacket &packet) noexcept;
    // RFC 3389: until audio comes again, noise of this level fills the timeline.
    void receive_noise(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, int level_dbov, int64_t now_ns) noexcept;
    // RFC 4733: its sequence number is not missing, and the frames of the next moment are flagged.
    void receive_event(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept;
    void handle_timeout(int64_t now_ns) noexcept;
    // When handle_timeout() has something to do, at the latest; the maximum when never.
    int64_t next_timeout() const noexcept;
    // Whether packets are held back for a missing one: handle_timeout() should not wait for the next frame's time.
    bool waiting() const noexcept { return slot_count_ > 0; }

    const UplinkCounters &counters() const noexcept { return counters_; }
    int64_t wait_ns() const noexcept { return delay_.wait_ns(); }
    // Of the next sample to be given out.
    int64_t position() const noexcept { return next_; }

  private:
    static constexpr int kWindow = 128;         // sequence numbers remembered
    static constexpr int kMaxMisorder = 100;    // RFC 3550 appendix A.1
    static constexpr int kMaxDropout = 3000;    // likewise
    static constexpr size_t kMaxPacket_ms = 120; // the longest that Opus has (RFC 6716 section 2.1.4)
    static constexpr int kClockRun = 16;

    struct Slot {
        int64_t position;
        int64_t arrived_ns;
        uint32_t sequence; // of newest_sequence_
        uint32_t samples;
        uint16_t size;
        uint16_t place; // in payloads_
    };

    bool follow(const UplinkPacket &packet, size_t samples, int &ahead) noexcept;
    void start(const UplinkPacket &packet, size_t samples) noexcept;
    void receive_newest(const UplinkPacket &packet, size_t samples, int ahead) noexcept;
    void receive_earlier(const UplinkPacket &packet, size_t samples, int ahead) noexcept;
    bool receive_other(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept;
    void advance(int ahead, int64_t now_ns) noexcept;
    void learn_clock(const UplinkPacket &packet, size_t samples, int ahead, int64_t ticks) noexcept;
    void learn_redundancy(const UplinkPacket &packet) noexcept;
    void place_newest(int64_t position, int64_t timestamp) noexcept;
    void shift(int64_t samples) noexcept;

    void store(const UplinkPacket &packet, size_t samples, int64_t position, uint32_t sequence) noexcept;
    void drop_first_slot() noexcept;
    bool all_seen(uint32_t after, uint32_t before) const noexcept;
    int64_t waiting_since() const noexcept;
    void advance_order(int64_t now_ns, bool give_up) noexcept;
    void play(const uint8_t *payload, size_t size, size_t samples, int64_t arrived_ns) noexcept;
    void fill(int64_t samples, int64_t now_ns) noexcept;
    void append(const int16_t *pcm, size_t samples, bool concealed, int64_t arrived_ns) noexcept;
    void give_out() noexcept;
    void give(const UplinkFrame &frame) noexcept;
    int wanted_correction(const UplinkFrame &frame) noexcept;
    void settle() noexcept;

    int64_t samples_of(int64_t ns) const noexcept;
    int64_t ns_of(int64_t samples) const noexcept;
    int64_t line_position(int64_t now_ns) const noexcept { return line_position_ + samples_of(now_ns - line_ns_); }
    int64_t due_ns(int64_t position) const noexcept { return line_ns_ + ns_of(position - line_position_); }
    int64_t end_of_newest() const noexcept;
    int64_t stall_at_ns() const noexcept;

    const UplinkFormat format_;
    PacketDecoder &decoder_;
    FrameSink &sink_;
    NetworkDelay delay_;
    Concealer concealer_;
    UplinkCounters counters_;

    // The line, and the sender's clock against it: its `clock_ticks_` last as long as `clock_samples_` of ours.
    int64_t line_position_;
    int64_t line_ns_;
    bool line_laid_ = false;
    int64_t anchor_position_ = 0;
    int64_t anchor_timestamp_ = 0;
    int64_t clock_samples_;
    int64_t clock_ticks_;

    // The sender.
    bool started_ = false;
    uint32_t ssrc_ = 0;
    uint32_t newest_sequence_ = 0; // extended; begins at 65536 plus the first one, so that earlier ones have room
    int64_t newest_timestamp_ = 0; // extended, of the newest audio packet
    size_t newest_samples_ = 0;
    int64_t newest_arrived_ns_ = 0;
    bool moved_ = false; // the newest packet had to be placed anew
    uint32_t played_sequence_ = 0; // of the packet played last
    std::bitset<kWindow> seen_;    // bit i: newest_sequence_ - i has come
    std::array<int64_t, kWindow> arrived_ns_{};
    bool carries_copies_ = false; // the packet whose copies have just come
    uint32_t oldest_copy_timestamp_ = 0;
    int restart_sequence_ = -1; // that would follow a packet out of any order
    int64_t odd_ticks_ = 0;     // what follows each other at this distance, which is not the format's
    int odd_run_ = 0;
    int64_t odd_since_ns_ = 0;

    // Packets behind a gap, by position.
    std::array<Slot, kSlots> slots_;
    size_t slot_count_ = 0;
    std::unique_ptr<uint8_t[]> payloads_; // kSlots of kMaxPayload, untouched until a gap
    uint32_t free_places_ = 0xFFFFFFFF;   // bit i: payload i is free

    // The frame being put together.
    int64_t next_; // position of the next sample
    std::vector<int16_t> pcm_;
    std::vector<int16_t> frame_;
    size_t filled_ = 0;
    size_t filled_concealed_ = 0;
    int64_t frame_arrived_ns_ = 0;
    bool silent_ = false; // comfort noise
    int noise_dbov_ = 127;
    int64_t event_until_ns_ = std::numeric_limits<int64_t>::min();
    int64_t off_since_ns_ = 0; // since when the line has been off our clock; 0: it is not
};

} // namespace parley
