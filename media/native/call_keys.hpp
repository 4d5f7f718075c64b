// SPDX-License-Identifier: GPL-3.0-or-later
// One call's telephone keys: those the far end presses, as events or tones, and those we press.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dialler.hpp"
#include "dtmf_detector.hpp"
#include "key_event.hpp"
#include "spsc_ring.hpp"
#include "telephone_event.hpp"

namespace parley {

enum class ToneDetection : uint8_t { kOff = 0, kAuto = 1, kAlways = 2 }; // kAuto: when events were not negotiated

// What of the stream matters here. Payload types and clock rates come with the packets.
struct KeyStream {
    uint32_t rate_hz = 8000;
    uint16_t frame_samples = 160;
    bool takes_events = false; // the peer
    bool sends_events = false; // the peer
};

// Threads: each method says whose it is. What was pressed waits in two rings of 64, one per thread that hears it; a
// reader that is away for longer than it takes to press 64 keys loses the newest, which are counted.
class CallKeys {
  public:
    // Python, one at a time (PcmPort's control lock).
    // `keys` are 0-9 A-D * #, and for pauses `,` (2 s) and `w` (0.5 s). False: no room for all of them, none is sent.
    bool dial(const std::string &keys, DialMethod method, uint16_t on_ms, uint16_t off_ms, bool secret);
    void detect_tones(ToneDetection mode) noexcept { detection_.store(mode, std::memory_order_relaxed); }
    struct Heard {
        KeyEvent event;
        bool tone;
    };
    void drain(std::vector<Heard> &heard);
    uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

    // SIP thread, while the clock has no stream. A press that is heard when a stream ends goes on in the next one.
    void attach(const KeyStream &stream);

    // Transport thread. True: there is something to drain.
    bool receive_event(uint32_t timestamp, const uint8_t *payload, size_t length, uint32_t clock_rate_hz,
                       int64_t now_ns) noexcept;
    // Cheap, for every packet: an event whose end was lost.
    bool handle_timeout(int64_t now_ns) noexcept;

    // Clock.
    bool dialling() const noexcept { return dialler_.active(); }
    void make_frame(int16_t *out, size_t samples, int64_t now_ns) noexcept;
    void idle() noexcept { dialler_.idle(); }
    bool secret() const noexcept { return dialler_.secret(); }
    // The packet to go out in place of the one that carries the frame just made; null: that one.
    uint8_t *replace(const uint8_t *packet, size_t size, int payload_type, uint32_t clock_rate_hz) noexcept;
    bool detects_tones() const noexcept {
        const ToneDetection mode = detection_.load(std::memory_order_relaxed);
        return mode == ToneDetection::kAlways || (mode == ToneDetection::kAuto && !stream_.sends_events);
    }
    bool hear(const int16_t *pcm, size_t samples, int64_t now_ns) noexcept; // true: there is something to drain
    bool sounding() const noexcept { return detector_.active(); }

  private:
    static constexpr size_t kWaiting = 128; // presses and releases
    static constexpr int64_t kReturn_ns = 600'000'000; // a line's longest echo, and the end of a tone

    template <class Engine> bool tell(Engine &engine, SpscRing<KeyEvent> &ring) noexcept;

    KeyStream stream_;
    std::atomic<ToneDetection> detection_{ToneDetection::kOff};
    std::atomic<uint64_t> lost_{0};
    std::atomic<int64_t> deaf_until_ns_{0}; // tones that a hybrid or a loudspeaker returns are our own

    TelephoneEventReceiver receiver_; // the transport thread's
    uint32_t receiver_rate_hz_ = 8000;
    SpscRing<KeyEvent> from_events_{kWaiting};

    DtmfDetector detector_; // the clock's, as all below
    SpscRing<KeyEvent> from_tones_{kWaiting};
    Dialler dialler_;
    TelephoneEventSender sender_;
    uint8_t packet_[TelephoneEventSender::kPacket] = {};
};

} // namespace parley
