// SPDX-License-Identifier: GPL-3.0-or-later
#include "uplink.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace parley {

namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
constexpr int64_t kMs_ns = 1'000'000;
constexpr int64_t kJump_ns = kSecond_ns;           // backwards: further than any network stands still
constexpr int64_t kEvent_ns = 60 * kMs_ns;         // events are sent every 20 to 50 ms (RFC 4733 section 2.5.1.2)
constexpr int64_t kSlowStart_ns = 100 * kMs_ns;    // of the first packet against the fastest ones
constexpr int64_t kPatience_ns = 5 * kSecond_ns;   // for a quiet frame to leave out or to put in
constexpr int64_t kFarOff_frames = 3;              // beyond, a second has to do
constexpr int kQuiet = 100;                        // mean of the samples' absolute values, -50 dBov
constexpr int64_t kShift_frames = 2;               // what jitter may move without being a new beginning
constexpr int64_t kCatchUp_frames = 64;            // in one call

} // namespace

UplinkCounters &UplinkCounters::operator+=(const UplinkCounters &other) noexcept {
    packets += other.packets;
    frames += other.frames;
    frames_concealed += other.frames_concealed;
    late += other.late;
    recovered += other.recovered;
    duplicates += other.duplicates;
    reordered += other.reordered;
    undecodable += other.undecodable;
    skew_corrections += other.skew_corrections;
    ssrc_changes += other.ssrc_changes;
    resets += other.resets;
    return *this;
}

Uplink::Uplink(const UplinkFormat &format, JitterPolicy policy, PacketDecoder &decoder, FrameSink &sink,
               int64_t position, int64_t first_position, int64_t now_ns)
    : format_(format), decoder_(decoder), sink_(sink),
      delay_(policy, int64_t{format.frame_samples} * kSecond_ns / format.rate_hz), concealer_(format.rate_hz),
      line_position_(position), line_ns_(now_ns), clock_samples_(format.rate_hz), clock_ticks_(format.rtp_rate_hz),
      payloads_(new uint8_t[kSlots * kMaxPayload]), next_(std::max(position, first_position)),
      pcm_(std::max<size_t>(format.rate_hz * kMaxPacket_ms / 1000, format.frame_samples)),
      frame_(format.frame_samples) {
    static_assert(kSlots == 32, "free_places_ has 32 bits");
}

// In two steps, so that neither days of samples nor days of nanoseconds overflow.
int64_t Uplink::samples_of(int64_t ns) const noexcept {
    return ns / kSecond_ns * format_.rate_hz + ns % kSecond_ns * format_.rate_hz / kSecond_ns;
}

int64_t Uplink::ns_of(int64_t samples) const noexcept {
    return samples / format_.rate_hz * kSecond_ns + samples % format_.rate_hz * kSecond_ns / format_.rate_hz;
}

int64_t Uplink::end_of_newest() const noexcept {
    if (slot_count_ == 0)
        return next_;
    const Slot &last = slots_[slot_count_ - 1];
    return std::max(next_, last.position + last.samples);
}

int64_t Uplink::stall_at_ns() const noexcept {
    // A sender that floods moves its own packets far ahead; the moment when it is missed stays within reach.
    return due_ns(next_) + std::min(delay_.offset_ns(), kAhead_ns) + delay_.stall_ns(silent_);
}

int64_t Uplink::next_timeout() const noexcept {
    if (slot_count_ > 0)
        return waiting_since() + delay_.wait_ns();
    return started_ ? stall_at_ns() : std::numeric_limits<int64_t>::max();
}

// ---- what arrives

void Uplink::receive(const UplinkPacket &packet) noexcept {
    counters_.packets += !packet.recovered;
    const size_t samples = packet.size <= kMaxPayload ? decoder_.samples(packet.payload, packet.size) : 0;
    if (samples == 0 || samples > pcm_.size()) {
        counters_.undecodable += !packet.recovered;
        return;
    }
    int ahead = 0;
    if (!follow(packet, samples, ahead))
        return;
    learn_redundancy(packet);
    if (ahead > 0)
        receive_newest(packet, samples, ahead);
    else
        receive_earlier(packet, samples, ahead);
    advance_order(packet.arrived_ns, false);
}

// Which sender this is and how far the packet is ahead of its newest one. False: nothing more is to be done with it.
bool Uplink::follow(const UplinkPacket &packet, size_t samples, int &ahead) noexcept {
    if (!started_) {
        start(packet, samples);
        ahead = 1;
        return true;
    }
    const bool other = packet.ssrc != ssrc_;
    ahead = static_cast<int16_t>(static_cast<uint16_t>(packet.sequence - newest_sequence_));
    if (!other && ahead <= kMaxDropout && ahead >= -kMaxMisorder) {
        restart_sequence_ = packet.recovered ? restart_sequence_ : -1;
        return true;
    }
    if (packet.recovered)
        return false;
    if (!other && packet.sequence != restart_sequence_) { // a stray, unless the next one follows on it
        restart_sequence_ = static_cast<uint16_t>(packet.sequence + 1);
        return false;
    }
    ++(other ? counters_.ssrc_changes : counters_.resets);
    advance_order(packet.arrived_ns, true);
    start(packet, samples);
    ahead = 1;
    return true;
}

// A new sender, or one that began anew: its first packet belongs where our clock is, or after what has been given out.
void Uplink::start(const UplinkPacket &packet, size_t samples) noexcept {
    if (!started_) // nobody has heard anything yet: the first frame needs nothing before it
        next_ = std::max(next_, line_position(packet.arrived_ns));
    started_ = true;
    ssrc_ = packet.ssrc;
    newest_sequence_ = 65536u + static_cast<uint16_t>(packet.sequence - 1);
    played_sequence_ = newest_sequence_;
    restart_sequence_ = -1;
    seen_.reset();
    newest_samples_ = samples;
    odd_run_ = 0;
    clock_samples_ = format_.rate_hz;
    clock_ticks_ = format_.rtp_rate_hz;
    newest_timestamp_ = packet.timestamp;
    place_newest(std::max(next_, line_position(packet.arrived_ns)), newest_timestamp_);
    delay_.restart();
}

void Uplink::place_newest(int64_t position, int64_t timestamp) noexcept {
    anchor_position_ = position;
    anchor_timestamp_ = timestamp;
}

void Uplink::advance(int ahead, int64_t now_ns) noexcept {
    newest_sequence_ += static_cast<uint32_t>(ahead);
    seen_ <<= static_cast<size_t>(ahead);
    seen_.set(0);
    arrived_ns_[newest_sequence_ % kWindow] = now_ns;
}

void Uplink::receive_newest(const UplinkPacket &packet, size_t samples, int ahead) noexcept {
    const int64_t ticks = static_cast<int32_t>(packet.timestamp - static_cast<uint32_t>(newest_timestamp_));
    if (!packet.recovered)
        learn_clock(packet, samples, ahead, ticks);
    newest_timestamp_ += ticks;
    newest_samples_ = samples;
    newest_arrived_ns_ = packet.arrived_ns;
    advance(ahead, packet.arrived_ns);

    const int64_t end = end_of_newest();
    const int64_t now = line_position(packet.arrived_ns);
    if (ns_of(end - now) > kAhead_ns) { // more audio than time: this much of it has no place
        ++counters_.late;
        anchor_position_ -= static_cast<int64_t>(samples);
        delay_.shift(ns_of(static_cast<int64_t>(samples)));
        return;
    }
    int64_t position =
        anchor_position_ + (newest_timestamp_ - anchor_timestamp_) * clock_samples_ / clock_ticks_;
    if (position < end || ns_of(position - now) > kAhead_ns) {
        // Behind what was given out: the network stood still for a moment, or a silence ended sooner than it seemed, and
        // the packet follows on what was made up meanwhile. Further off, forwards or backwards, the sender's clock has
        // jumped.
        const bool jumped = position > end || ns_of(end - position) > kJump_ns;
        const int64_t wanted = jumped ? std::max(end, now) : end;
        if (jumped || wanted - position > kShift_frames * format_.frame_samples) {
            ++counters_.resets;
            delay_.restart();
        } else if (moved_) { // time after time: its timestamps say nothing
            delay_.restart();
        } else {
            delay_.shift(-ns_of(wanted - position));
        }
        moved_ = true;
        position = wanted;
        place_newest(position, newest_timestamp_);
    } else {
        moved_ = false;
    }
    if (packet.recovered)
        ++counters_.recovered;
    else
        delay_.receive(packet.arrived_ns - due_ns(position));
    settle();
    if (slot_count_ == 0 && position == next_) {
        played_sequence_ = newest_sequence_;
        play(packet.payload, packet.size, samples, packet.arrived_ns);
    } else {
        store(packet, samples, position, newest_sequence_);
    }
}

void Uplink::receive_earlier(const UplinkPacket &packet, size_t samples, int ahead) noexcept {
    const auto age = static_cast<size_t>(-ahead);
    if (seen_.test(age)) {
        counters_.duplicates += !packet.recovered;
        return;
    }
    const uint32_t sequence = newest_sequence_ - static_cast<uint32_t>(age);
    if (!packet.recovered) {
        seen_.set(age);
        size_t later = age - 1; // age is at least 1: the newest one has been seen
        while (!seen_.test(later))
            --later;
        delay_.receive_reordered(packet.arrived_ns - arrived_ns_[(newest_sequence_ - later) % kWindow]);
    }
    const int64_t ticks = static_cast<int32_t>(packet.timestamp - static_cast<uint32_t>(newest_timestamp_));
    const int64_t position =
        anchor_position_ + (newest_timestamp_ + ticks - anchor_timestamp_) * clock_samples_ / clock_ticks_;
    bool room = position >= next_ && ns_of(position - line_position(packet.arrived_ns)) <= kAhead_ns;
    for (size_t i = 0; i < slot_count_; ++i)
        room = room && (position + static_cast<int64_t>(samples) <= slots_[i].position ||
                        position >= slots_[i].position + slots_[i].samples);
    if (!room) {
        counters_.late += !packet.recovered;
        return;
    }
    seen_.set(age);
    ++(packet.recovered ? counters_.recovered : counters_.reordered);
    store(packet, samples, position, sequence);
}

// Some senders count otherwise than the codec's specification says: G.722 at 16 kHz, Opus at the rate it was recorded
// with. What keeps a constant distance for long, while as much time passes as the packets hold audio, shows its clock.
void Uplink::learn_clock(const UplinkPacket &packet, size_t samples, int ahead, int64_t ticks) noexcept {
    const auto audio = static_cast<int64_t>(newest_samples_);
    if (ahead != 1 || ticks <= 0 || samples != newest_samples_ || ticks * clock_samples_ == audio * clock_ticks_) {
        odd_run_ = 0;
        return;
    }
    if (odd_run_ == 0 || ticks != odd_ticks_) {
        odd_run_ = 0;
        odd_ticks_ = ticks;
        odd_since_ns_ = newest_arrived_ns_;
    }
    if (++odd_run_ < kClockRun)
        return;
    odd_run_ = 0;
    const int64_t wanted_ns = ns_of(kClockRun * audio);
    if (std::abs(packet.arrived_ns - odd_since_ns_ - wanted_ns) > wanted_ns / 3 || ticks > 8 * audio || audio > 8 * ticks)
        return;
    clock_samples_ = audio;
    clock_ticks_ = ticks;
    ++counters_.resets;
    place_newest(end_of_newest(), newest_timestamp_ + ticks);
    delay_.restart();
}

// A lost packet comes back with one of the next: how far behind its own audio a packet's oldest copy lies.
void Uplink::learn_redundancy(const UplinkPacket &packet) noexcept {
    if (packet.recovered) {
        if (!carries_copies_)
            oldest_copy_timestamp_ = packet.timestamp;
        carries_copies_ = true;
        return;
    }
    const int64_t ticks = static_cast<int32_t>(packet.timestamp - oldest_copy_timestamp_);
    delay_.expect_redundancy(carries_copies_ && ticks > 0 ? ticks * 1'000'000'000 / format_.rtp_rate_hz : 0);
    carries_copies_ = false;
}

void Uplink::receive_noise(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, int level_dbov,
                           int64_t now_ns) noexcept {
    ++counters_.packets;
    if (!started_) {
        UplinkPacket first;
        first.ssrc = ssrc;
        first.sequence = sequence;
        first.timestamp = timestamp;
        first.arrived_ns = now_ns;
        start(first, 0);
    }
    if (!receive_other(ssrc, sequence, now_ns))
        return;
    silent_ = true;
    noise_dbov_ = level_dbov;
}

void Uplink::receive_event(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept {
    ++counters_.packets;
    receive_other(ssrc, sequence, now_ns);
    event_until_ns_ = now_ns + kEvent_ns;
}

// A packet without audio: only its sequence number counts. Whether it is the newest one.
bool Uplink::receive_other(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept {
    const int ahead = static_cast<int16_t>(static_cast<uint16_t>(sequence - newest_sequence_));
    if (!started_ || ssrc != ssrc_ || ahead > kMaxDropout || ahead < -kMaxMisorder)
        return false;
    if (ahead <= 0) {
        seen_.set(static_cast<size_t>(-ahead));
        return false;
    }
    advance(ahead, now_ns);
    return true;
}

// ---- order

void Uplink::store(const UplinkPacket &packet, size_t samples, int64_t position, uint32_t sequence) noexcept {
    if (slot_count_ == kSlots)
        advance_order(packet.arrived_ns, true);
    if (position < next_) { // giving up the gap has taken its place
        ++counters_.late;
        return;
    }
    uint16_t place = 0;
    while (!(free_places_ >> place & 1))
        ++place;
    free_places_ &= ~(1u << place);
    std::memcpy(payloads_.get() + place * kMaxPayload, packet.payload, packet.size);
    size_t at = slot_count_++;
    for (; at > 0 && slots_[at - 1].position > position; --at)
        slots_[at] = slots_[at - 1];
    slots_[at] = {position, packet.arrived_ns, sequence, static_cast<uint32_t>(samples),
                  static_cast<uint16_t>(packet.size), place};
}

void Uplink::drop_first_slot() noexcept {
    free_places_ |= 1u << slots_[0].place;
    --slot_count_;
    std::copy(slots_.begin() + 1, slots_.begin() + 1 + static_cast<std::ptrdiff_t>(slot_count_), slots_.begin());
}

bool Uplink::all_seen(uint32_t after, uint32_t before) const noexcept {
    for (uint32_t sequence = after + 1; sequence < before; ++sequence) {
        const uint32_t age = newest_sequence_ - sequence;
        if (age >= kWindow || !seen_.test(age))
            return false;
    }
    return true;
}

int64_t Uplink::waiting_since() const noexcept {
    int64_t since = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < slot_count_; ++i)
        since = std::min(since, slots_[i].arrived_ns);
    return since;
}

void Uplink::advance_order(int64_t now_ns, bool give_up) noexcept {
    while (slot_count_ > 0) {
        const Slot slot = slots_[0];
        const uint8_t *payload = payloads_.get() + slot.place * kMaxPayload;
        const int64_t gap = slot.position - next_;
        if (gap < 0) { // a correction has taken its place
            ++counters_.late;
            drop_first_slot();
            continue;
        }
        if (ns_of(gap) > kHole_ns) {
            ++counters_.resets;
            next_ = slot.position;
            filled_ = filled_concealed_ = 0;
        } else if (gap > 0) {
            const bool lost = !all_seen(played_sequence_, slot.sequence);
            if (lost && !give_up && now_ns < waiting_since() + delay_.wait_ns())
                return;
            if (lost && gap == slot.samples && gap <= static_cast<int64_t>(pcm_.size()) &&
                decoder_.recover(payload, slot.size, pcm_.data(), slot.samples)) {
                ++counters_.recovered;
                concealer_.hear(pcm_.data(), slot.samples);
                append(pcm_.data(), slot.samples, false, slot.arrived_ns);
            } else {
                fill(gap, now_ns);
            }
        }
        played_sequence_ = slot.sequence;
        play(payload, slot.size, slot.samples, slot.arrived_ns);
        drop_first_slot();
    }
}

void Uplink::handle_timeout(int64_t now_ns) noexcept {
    advance_order(now_ns, false);
    if (!started_ || slot_count_ > 0)
        return;
    for (int64_t frames = 0; frames < kCatchUp_frames && now_ns >= stall_at_ns(); ++frames) {
        if (now_ns - stall_at_ns() > kHole_ns) {
            ++counters_.resets;
            next_ = line_position(now_ns);
            filled_ = filled_concealed_ = 0;
            return;
        }
        fill(format_.frame_samples - static_cast<int64_t>(filled_), now_ns);
    }
}

// ---- samples

void Uplink::play(const uint8_t *payload, size_t size, size_t samples, int64_t arrived_ns) noexcept {
    if (decoder_.decode(payload, size, pcm_.data()) != samples) {
        ++counters_.undecodable;
        fill(static_cast<int64_t>(samples), arrived_ns);
        return;
    }
    silent_ = false;
    concealer_.hear(pcm_.data(), samples);
    append(pcm_.data(), samples, false, arrived_ns);
}

void Uplink::fill(int64_t samples, int64_t now_ns) noexcept {
    while (samples > 0) {
        const auto part = static_cast<size_t>(std::min<int64_t>(samples, format_.frame_samples));
        if (silent_)
            concealer_.noise(pcm_.data(), part, noise_dbov_);
        else if (!decoder_.conceal(pcm_.data(), part))
            concealer_.conceal(pcm_.data(), part);
        append(pcm_.data(), part, true, now_ns);
        samples -= static_cast<int64_t>(part);
    }
}

void Uplink::append(const int16_t *pcm, size_t samples, bool concealed, int64_t arrived_ns) noexcept {
    frame_arrived_ns_ = arrived_ns;
    while (samples > 0) {
        const size_t part = std::min(samples, frame_.size() - filled_);
        std::copy(pcm, pcm + part, frame_.begin() + static_cast<std::ptrdiff_t>(filled_));
        filled_ += part;
        filled_concealed_ += concealed ? part : 0;
        next_ += static_cast<int64_t>(part);
        pcm += part;
        samples -= part;
        if (filled_ == frame_.size())
            give_out();
    }
}

void Uplink::give_out() noexcept {
    const auto frame_samples = static_cast<int64_t>(frame_.size());
    UplinkFrame frame;
    frame.position = next_ - frame_samples;
    frame.arrived_ns = frame_arrived_ns_;
    frame.rate_hz = format_.rate_hz;
    frame.samples = format_.frame_samples;
    if (filled_concealed_ * 2 > frame_.size())
        frame.flags |= kConcealed;
    if (frame_arrived_ns_ < event_until_ns_)
        frame.flags |= kDtmf;
    filled_ = filled_concealed_ = 0;
    const int correction = wanted_correction(frame);
    counters_.skew_corrections += correction != 0;
    if (correction < 0) {
        next_ -= frame_samples;
        shift(-frame_samples);
        return;
    }
    give(frame);
    if (correction > 0) { // the same once more
        next_ += frame_samples;
        shift(frame_samples);
        frame.position += frame_samples;
        frame.flags |= kConcealed;
        give(frame);
    }
}

void Uplink::give(const UplinkFrame &frame) noexcept {
    ++counters_.frames;
    counters_.frames_concealed += (frame.flags & kConcealed) != 0;
    sink_.take(frame, frame_.data());
}

// ---- skew

// -1: leave this frame out, for the timeline has got ahead of our clock; 1: have it twice.
int Uplink::wanted_correction(const UplinkFrame &frame) noexcept {
    const int64_t frame_ns = ns_of(format_.frame_samples);
    const int64_t off_ns = delay_.offset_ns();
    if (!delay_.settled() || std::abs(off_ns) <= frame_ns + kMs_ns) {
        off_since_ns_ = 0;
        return 0;
    }
    if (off_since_ns_ == 0)
        off_since_ns_ = frame.arrived_ns;
    int64_t loudness = 0;
    for (const int16_t sample : frame_)
        loudness += std::abs(int{sample});
    const bool quiet = (frame.flags & kConcealed) || loudness < kQuiet * static_cast<int64_t>(frame_.size());
    const int64_t patience_ns = std::abs(off_ns) > kFarOff_frames * frame_ns ? kSecond_ns : kPatience_ns;
    if (!quiet && frame.arrived_ns - off_since_ns_ < patience_ns)
        return 0;
    off_since_ns_ = 0;
    return off_ns > 0 ? 1 : -1;
}

void Uplink::shift(int64_t samples) noexcept {
    anchor_position_ += samples;
    for (size_t i = 0; i < slot_count_; ++i)
        slots_[i].position += samples;
    delay_.shift(-ns_of(samples));
}

// The first packet may have been a slow one: the line is laid through the fastest of the first ones.
void Uplink::settle() noexcept {
    if (line_laid_ || !delay_.settled())
        return;
    line_laid_ = true;
    const int64_t offset_ns = std::clamp(delay_.offset_ns(), -kSlowStart_ns, kSlowStart_ns);
    line_ns_ += offset_ns;
    delay_.shift(-offset_ns);
}

} // namespace parley
