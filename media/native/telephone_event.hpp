// SPDX-License-Identifier: GPL-3.0-or-later
// DTMF as RTP events (RFC 4733): what the peer's packets mean, and what our own have to say. No PJ, no clock, no heap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "key_event.hpp"

namespace parley {

// Received events become key presses: one per event timestamp, whatever of its packets is lost, late or twice there.
// Neither the marker bit nor the end bit is relied on: a key is told at the first packet of its event, and an event
// whose end never comes ends with the next one or `kEndless_ns` after its last packet.
//
// An event is known by its RTP timestamp (section 2.2.1), so that the same key pressed twice is two, and a late copy of
// an old packet none; the last `kRemembered` are remembered. A sender splits an event that outlasts the duration field
// into segments, each with a timestamp of its own (section 2.5.1.3): they are one key.
//
// To be called by one thread at a time. Bytes are a stranger's: what cannot be right is ignored.
class TelephoneEventReceiver {
  public:
    static constexpr size_t kRemembered = 16;
    static constexpr size_t kMaxBlocks = 8; // events in one packet (section 2.5.1.5)
    static constexpr int64_t kEndless_ns = 500'000'000;

    explicit TelephoneEventReceiver(uint32_t clock_rate_hz = 8000) noexcept { reset(clock_rate_hz); }

    // Forget everything: another stream, or another clock rate.
    void reset(uint32_t clock_rate_hz) noexcept;
    // A packet's payload, or a block of redundancy with the timestamp it stands for: older blocks first.
    void receive(uint32_t timestamp, const uint8_t *payload, size_t length, int64_t now_ns) noexcept;
    void handle_timeout(int64_t now_ns) noexcept;
    // Whether handle_timeout() may have something to do.
    bool active() const noexcept { return active_ != nullptr; }
    // The next press or release; drain after each input.
    bool next(KeyEvent &event) noexcept;

  private:
    struct Event {
        uint32_t timestamp = 0;
        uint32_t duration = 0; // seen so far, timestamp units, of this segment
        uint32_t before = 0;   // of the segments before it
        uint8_t key = 0;
        bool used = false;
    };

    void receive_block(uint32_t timestamp, uint8_t key, uint32_t duration, bool end, int64_t now_ns) noexcept;
    Event *find(uint32_t timestamp) noexcept;
    Event &remember(uint32_t timestamp, uint8_t key) noexcept;
    bool continues(const Event &event, uint32_t timestamp, uint8_t key) const noexcept;
    void finish(int64_t now_ns) noexcept;
    void tell(const KeyEvent &event) noexcept;

    uint32_t clock_rate_hz_ = 8000;
    std::array<Event, kRemembered> events_{};
    size_t newest_ = 0;
    Event *active_ = nullptr; // told, not yet ended
    int64_t heard_ns_ = 0;    // its last packet
    std::array<KeyEvent, 2 * kMaxBlocks + 2> out_{};
    size_t out_begin_ = 0, out_end_ = 0;
};

// Turns audio packets into event packets while a key is being sent. Sequence numbers stay the audio's, and so do
// timestamps before and after: PJMEDIA's own sender leaves the timestamps of what follows an event ahead of time or
// behind it, by its default duration in place of the one that was asked for.
class TelephoneEventSender {
  public:
    static constexpr size_t kHeader = 12, kPacket = kHeader + 4;

    // How the packet that is about to go out is to be replaced. `serial` is another one for each press, never 0.
    struct Press {
        uint32_t serial = 0;
        uint8_t key = 0;
        uint16_t duration_ms = 0;
        bool end = false;
    };

    // Write the event packet that goes out in place of `packet`: an RTP header without extensions and a payload that
    // stands for `step` units of the RTP clock. Returns false, and leaves `out` alone, when it is no such packet.
    bool replace(const Press &press, uint8_t payload_type, uint32_t clock_rate_hz, uint32_t step, const uint8_t *packet,
                 size_t size, uint8_t out[kPacket]) noexcept;

  private:
    uint32_t serial_ = 0; // of the press that began at `began_`; 0: none yet
    uint32_t began_ = 0;
};

} // namespace parley
