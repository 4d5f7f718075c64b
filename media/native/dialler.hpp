// SPDX-License-Identifier: GPL-3.0-or-later
// Keys we press, one after another in the time of the media clock: as events (RFC 4733) or as tones (ITU-T Q.23).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "key_event.hpp"
#include "spsc_ring.hpp"
#include "telephone_event.hpp"

namespace parley {

enum class DialMethod : uint8_t { kAuto = 0, kEvents = 1, kTones = 2 }; // kAuto: events if the peer takes them

struct Dialled {
    static constexpr uint8_t kPause = 0xFF;
    uint8_t key = kPause;
    DialMethod method = DialMethod::kAuto;
    bool secret = false;
    uint16_t on_ms = 0;
    uint16_t off_ms = 0; // the silence after it
};

// Threads: dial() belongs to Python (one at a time), the rest to the clock.
class Dialler {
  public:
    static constexpr size_t kCapacity = 256;
    static constexpr unsigned kEndPackets = 3; // the last packet of an event and its copies (section 2.5.1.4)

    // All or nothing: false when they do not fit, and then none of them is sent.
    bool dial(const std::vector<Dialled> &keys);

    // Whether the next frame is the dialler's. Costs two loads when nothing is dialled.
    bool active() const noexcept { return now_dialling_ || queue_.front() != nullptr; }
    // Make the next frame; all of it is written. `peer_takes_events` decides what kAuto means.
    void make_frame(int16_t *out, size_t samples, uint32_t rate_hz, bool peer_takes_events) noexcept;
    // What the packet of that frame is to be replaced with; null: it is sound.
    const TelephoneEventSender::Press *press() const noexcept { return has_press_ ? &press_ : nullptr; }
    // Whether that frame must not be heard in a recording.
    bool secret() const noexcept { return secret_; }
    // Whether the frame just made may hold a tone.
    bool sounds() const noexcept { return now_dialling_ && !as_event_; }
    // No frame was made by the dialler.
    void idle() noexcept { has_press_ = secret_ = false; }

  private:
    bool begin(bool peer_takes_events) noexcept;
    void add_tone(int16_t *out, size_t samples, uint32_t rate_hz, size_t on_samples) const noexcept;

    SpscRing<Dialled> queue_{kCapacity};
    bool now_dialling_ = false;
    bool as_event_ = false;
    Dialled item_;
    uint32_t rate_hz_ = 0;
    size_t at_ = 0; // samples of the item that have gone out
    unsigned ends_ = 0;
    bool has_press_ = false;
    bool secret_ = false;
    TelephoneEventSender::Press press_;
};

} // namespace parley
