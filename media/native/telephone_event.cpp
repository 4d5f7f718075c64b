// SPDX-License-Identifier: GPL-3.0-or-later
#include "telephone_event.hpp"

#include <algorithm>
#include <cstring>

namespace parley {

namespace {

constexpr size_t kBlock = 4;
constexpr uint32_t kLongest = 0xFFFF; // of the duration field

uint32_t read32(const uint8_t *from) noexcept {
    return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | from[3];
}

uint32_t milliseconds(uint64_t units, uint32_t clock_rate_hz) noexcept {
    return static_cast<uint32_t>(std::min<uint64_t>(units * 1000 / clock_rate_hz, UINT32_MAX));
}

} // namespace

// ---- Receiving

void TelephoneEventReceiver::reset(uint32_t clock_rate_hz) noexcept {
    clock_rate_hz_ = std::max<uint32_t>(clock_rate_hz, 1000);
    events_.fill(Event{});
    active_ = nullptr;
    newest_ = out_begin_ = out_end_ = 0;
}

void TelephoneEventReceiver::receive(uint32_t timestamp, const uint8_t *payload, size_t length,
                                     int64_t now_ns) noexcept {
    handle_timeout(now_ns);
    const size_t blocks = std::min(length / kBlock, kMaxBlocks);
    for (size_t i = 0; i < blocks; ++i) {
        const uint8_t *block = payload + i * kBlock;
        const uint32_t duration = uint32_t{block[2]} << 8 | block[3];
        const bool end = (block[1] & 0x80) != 0;
        // Events behind the first follow one another in time: all but the last are over, and none is empty. Zeros that
        // somebody pads packets with are no key 0.
        if (i > 0 && duration == 0)
            return;
        receive_block(timestamp, block[0], duration, end, now_ns);
        if (!end || duration == 0)
            return;
        timestamp += duration;
    }
}

void TelephoneEventReceiver::receive_block(uint32_t timestamp, uint8_t key, uint32_t duration, bool end,
                                           int64_t now_ns) noexcept {
    if (key >= kKeys) // a flash, a modem's tone
        return;
    Event *event = find(timestamp);
    if (event == nullptr) {
        const Event *before = active_;
        const bool continued = before != nullptr && continues(*before, timestamp, key);
        const uint32_t earlier = continued ? before->before + (timestamp - before->timestamp) : 0;
        if (!continued)
            finish(now_ns);
        event = &remember(timestamp, key);
        event->before = earlier;
        active_ = event;
        if (!continued)
            tell({key, false, 0, now_ns});
    } else if (event->key != key) {
        return;
    }
    event->duration = std::max(event->duration, duration);
    if (event != active_) // a late copy
        return;
    heard_ns_ = now_ns;
    if (end)
        finish(now_ns);
}

void TelephoneEventReceiver::handle_timeout(int64_t now_ns) noexcept {
    if (active_ != nullptr && now_ns - heard_ns_ > kEndless_ns)
        finish(now_ns);
}

bool TelephoneEventReceiver::next(KeyEvent &event) noexcept {
    if (out_begin_ == out_end_)
        return false;
    event = out_[out_begin_++ % out_.size()];
    return true;
}

TelephoneEventReceiver::Event *TelephoneEventReceiver::find(uint32_t timestamp) noexcept {
    for (Event &event : events_)
        if (event.used && event.timestamp == timestamp)
            return &event;
    return nullptr;
}

TelephoneEventReceiver::Event &TelephoneEventReceiver::remember(uint32_t timestamp, uint8_t key) noexcept {
    newest_ = (newest_ + 1) % events_.size();
    Event &event = events_[newest_];
    event = Event{};
    event.timestamp = timestamp;
    event.key = key;
    event.used = true;
    return event;
}

// Whether a timestamp not seen before is the next segment of an event that has not ended: the duration field had to be about full, and the
// segment begins where what was seen ended, or at most 200 ms of lost packets later.
bool TelephoneEventReceiver::continues(const Event &event, uint32_t timestamp, uint8_t key) const noexcept {
    const uint32_t length = timestamp - event.timestamp;
    const uint32_t slack = clock_rate_hz_ / 5;
    return event.key == key && length <= kLongest && length + slack >= kLongest && length >= event.duration &&
           length - event.duration <= slack;
}

void TelephoneEventReceiver::finish(int64_t now_ns) noexcept {
    if (active_ == nullptr)
        return;
    const uint64_t units = uint64_t{active_->before} + active_->duration;
    tell({active_->key, true, milliseconds(units, clock_rate_hz_), now_ns});
    active_ = nullptr;
}

void TelephoneEventReceiver::tell(const KeyEvent &event) noexcept {
    // One packet's events fit; a caller who does not drain loses the oldest.
    if (out_end_ - out_begin_ == out_.size())
        ++out_begin_;
    out_[out_end_++ % out_.size()] = event;
}

// ---- Sending

bool TelephoneEventSender::replace(const Press &press, uint8_t payload_type, uint32_t clock_rate_hz, uint32_t step,
                                   const uint8_t *packet, size_t size, uint8_t out[kPacket]) noexcept {
    if (size < kHeader || packet[0] != 0x80)
        return false;
    const uint32_t timestamp = read32(packet + 4);
    const bool first = press.serial != serial_;
    if (first) {
        serial_ = press.serial;
        began_ = timestamp;
    }
    // What will have passed when this packet's time is over (section 2.3.5), and in the end what was asked for.
    const uint64_t wanted = std::min<uint64_t>(uint64_t{press.duration_ms} * clock_rate_hz / 1000, kLongest);
    const uint64_t passed = std::min<uint64_t>(uint64_t{timestamp - began_} + step, wanted);
    const auto duration = static_cast<uint16_t>(press.end ? wanted : passed);
    std::memcpy(out, packet, kHeader);
    out[1] = static_cast<uint8_t>((first ? 0x80 : 0) | (payload_type & 0x7F));
    for (int i = 0; i < 4; ++i)
        out[4 + i] = static_cast<uint8_t>(began_ >> (24 - 8 * i));
    out[kHeader] = press.key;
    out[kHeader + 1] = static_cast<uint8_t>((press.end ? 0x80 : 0) | 10); // -10 dBm0
    out[kHeader + 2] = static_cast<uint8_t>(duration >> 8);
    out[kHeader + 3] = static_cast<uint8_t>(duration);
    return true;
}

} // namespace parley
