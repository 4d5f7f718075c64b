// SPDX-License-Identifier: GPL-3.0-or-later
#include "call_keys.hpp"

#include <cstring>

namespace parley {

namespace {

constexpr char kNames[] = "0123456789*#ABCD";
constexpr uint16_t kComma_ms = 2000, kW_ms = 500;

} // namespace

// ---- Python

bool CallKeys::dial(const std::string &keys, DialMethod method, uint16_t on_ms, uint16_t off_ms, bool secret) {
    std::vector<Dialled> dialled;
    for (const char name : keys) {
        const char *found = std::strchr(kNames, name);
        if (name == ',' || name == 'w')
            dialled.push_back({Dialled::kPause, method, secret, 0, name == ',' ? kComma_ms : kW_ms});
        else if (name != '\0' && found != nullptr)
            dialled.push_back({static_cast<uint8_t>(found - kNames), method, secret, on_ms, off_ms});
        else
            return false;
    }
    return dialler_.dial(dialled);
}

void CallKeys::drain(std::vector<Heard> &heard) {
    for (const bool tone : {false, true}) {
        SpscRing<KeyEvent> &ring = tone ? from_tones_ : from_events_;
        while (const KeyEvent *event = ring.front()) {
            heard.push_back({*event, tone});
            ring.pop();
        }
    }
}

// ---- SIP thread

void CallKeys::attach(const KeyStream &stream) {
    if (stream.rate_hz != stream_.rate_hz)
        detector_.set_rate(stream.rate_hz);
    stream_ = stream;
}

// ---- transport thread

bool CallKeys::receive_event(uint32_t timestamp, const uint8_t *payload, size_t length, uint32_t clock_rate_hz,
                             int64_t now_ns) noexcept {
    if (clock_rate_hz != receiver_rate_hz_) { // another codec: its peer counts another time
        receiver_rate_hz_ = clock_rate_hz;
        receiver_.reset(clock_rate_hz);
    }
    receiver_.receive(timestamp, payload, length, now_ns);
    return tell(receiver_, from_events_);
}

bool CallKeys::handle_timeout(int64_t now_ns) noexcept {
    if (!receiver_.active())
        return false;
    receiver_.handle_timeout(now_ns);
    return tell(receiver_, from_events_);
}

// ---- clock

void CallKeys::make_frame(int16_t *out, size_t samples, int64_t now_ns) noexcept {
    dialler_.make_frame(out, samples, stream_.rate_hz, stream_.takes_events);
    if (dialler_.sounds())
        deaf_until_ns_.store(now_ns + kReturn_ns, std::memory_order_relaxed);
}

uint8_t *CallKeys::replace(const uint8_t *packet, size_t size, int payload_type, uint32_t clock_rate_hz) noexcept {
    const TelephoneEventSender::Press *press = dialler_.press();
    if (press == nullptr || payload_type < 0)
        return nullptr;
    const auto step = static_cast<uint32_t>(uint64_t{stream_.frame_samples} * clock_rate_hz / stream_.rate_hz);
    const bool replaced =
        sender_.replace(*press, static_cast<uint8_t>(payload_type), clock_rate_hz, step, packet, size, packet_);
    return replaced ? packet_ : nullptr;
}

bool CallKeys::hear(const int16_t *pcm, size_t samples, int64_t now_ns) noexcept {
    if (now_ns < deaf_until_ns_.load(std::memory_order_relaxed))
        return false;
    detector_.receive(pcm, samples, now_ns);
    return tell(detector_, from_tones_);
}

template <class Engine> bool CallKeys::tell(Engine &engine, SpscRing<KeyEvent> &ring) noexcept {
    bool any = false;
    for (KeyEvent event; engine.next(event); any = true)
        if (!ring.push(event))
            lost_.fetch_add(1, std::memory_order_relaxed);
    return any;
}

} // namespace parley
