// SPDX-License-Identifier: GPL-3.0-or-later
#include "pcm_port.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <pjmedia/port.h>

#include "hub.hpp"

namespace parley {

namespace {

constexpr uint32_t kLeadOut_per_second = 200; // 5 ms

int16_t saturate(int32_t value) noexcept { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }

void count(std::atomic<uint64_t> &counter, uint64_t by = 1) noexcept {
    counter.fetch_add(by, std::memory_order_relaxed);
}

} // namespace

PcmPort::PcmPort(PcmHub &hub, uint32_t id) : hub_(hub), id_(id) { playout_.set_rate(8000, kPlayoutCapacity_ms); }

// ---- Python

size_t PcmPort::write(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples) {
    std::lock_guard lock(control_);
    return write_to(playout_, utterance_id, rate_hz, pcm, samples);
}

size_t PcmPort::write_to(Playout &playout, uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm,
                         size_t samples) {
    const uint32_t rate = sampleRate();
    size_t taken;
    if (rate_hz == rate || rate_hz == 0) {
        taken = playout.write(utterance_id, pcm, samples);
    } else {
        std::vector<int16_t> converted(samples * rate / rate_hz);
        for (size_t i = 0; i < converted.size(); ++i) // nearest sample: milliseconds of speech, once per change
            converted[i] = pcm[i * rate_hz / rate];
        taken = playout.write(utterance_id, converted.data(), converted.size());
        taken = taken == converted.size() ? samples : taken * rate_hz / rate;
    }
    count(samples_refused_, samples - taken);
    return taken;
}

void PcmPort::endUtterance(uint32_t utterance_id) {
    std::lock_guard lock(control_);
    playout_.end(utterance_id);
}

std::vector<Heard> PcmPort::clear() {
    std::lock_guard lock(control_);
    return cut(playout_);
}

std::vector<Heard> PcmPort::cut(Playout &playout) {
    auto cut = playout.clear();
    if (!attached()) // detach() and attach() take control_ too: no clock comes in between
        playout.settle();
    playout.trim();
    return cut;
}

size_t PcmPort::announce(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples) {
    std::lock_guard lock(control_);
    if (!announcements_) {
        announcements_ = std::make_unique<Playout>();
        announcements_->set_rate(sampleRate(), kPlayoutCapacity_ms);
        announcing_playout_.store(announcements_.get(), std::memory_order_release);
    }
    return write_to(*announcements_, utterance_id, rate_hz, pcm, samples);
}

void PcmPort::endAnnouncement(uint32_t utterance_id) {
    std::lock_guard lock(control_);
    if (announcements_)
        announcements_->end(utterance_id);
}

std::vector<Heard> PcmPort::clearAnnouncement() {
    std::lock_guard lock(control_);
    return announcements_ ? cut(*announcements_) : std::vector<Heard>{};
}

std::optional<Heard> PcmPort::announcementProgress() {
    std::lock_guard lock(control_);
    return announcements_ ? announcements_->progress() : std::nullopt;
}

int64_t PcmPort::announcementQueuedSamples() const noexcept {
    const Playout *playout = announcing_playout_.load(std::memory_order_acquire);
    return playout ? playout->queued() : 0;
}

std::optional<Heard> PcmPort::progress() {
    std::lock_guard lock(control_);
    return playout_.progress();
}

void PcmPort::resume(unsigned repeat_ms) {
    std::lock_guard lock(control_);
    if (repeat_ms > 0 && paused_.load(std::memory_order_relaxed))
        playout_.rewind(static_cast<size_t>(sampleRate()) * repeat_ms / 1000);
    paused_.store(false, std::memory_order_release);
}

void PcmPort::duck(double gain) noexcept {
    duck_.store(static_cast<int32_t>(std::lround(std::clamp(gain, 0.0, 1.0) * kUnity)), std::memory_order_relaxed);
}

bool PcmPort::dial(const std::string &keys, int method, unsigned on_ms, unsigned off_ms, bool secret) {
    std::lock_guard lock(control_);
    return keys_.dial(keys, static_cast<DialMethod>(method), static_cast<uint16_t>(on_ms),
                      static_cast<uint16_t>(off_ms), secret);
}

bool PcmPort::mixFrom(PcmPort &source, int track, int end, double gain) {
    return CallLines::connect(source.lines_, source.id(), static_cast<LineTrack>(track), lines_,
                              static_cast<LineEnd>(end), gain);
}

void PcmPort::unmix(PcmPort &source, int track, int end) {
    CallLines::disconnect(source.lines_, source.id(), static_cast<LineTrack>(track), lines_,
                          static_cast<LineEnd>(end));
}

PortCounters PcmPort::counters() const {
    std::lock_guard lock(control_);
    PortCounters counters;
    {
        std::lock_guard uplink_lock(uplink_mutex_);
        counters.uplink = counted_before_;
        counters.wait_ns = waited_ns_;
        if (uplink_) {
            counters.uplink += uplink_->counters();
            counters.wait_ns = uplink_->wait_ns();
        }
    }
    counters.frames_in = frames_in_ + counters.uplink.frames;
    counters.frames_concealed = frames_concealed_ + counters.uplink.frames_concealed;
    counters.frames_dropped = dropped_before_ + (heard_ ? heard_->dropped() + sent_->dropped() : 0);
    counters.frames_skipped = frames_skipped_;
    counters.frames_out = frames_out_;
    counters.underruns = underruns_;
    counters.events_lost = events_lost_ + keys_.lost();
    counters.samples_refused = samples_refused_;
    return counters;
}

void PcmPort::drain(PortBatch &batch) {
    std::lock_guard lock(control_);
    UplinkFrame frame;
    for (UplinkRing *ring : {heard_.get(), sent_.get()})
        while (ring && ring->pop(frame, drained_.data())) {
            batch.frames.push_back(frame);
            batch.pcm.insert(batch.pcm.end(), drained_.begin(), drained_.begin() + frame.samples);
        }
    while (const PortEvent *event = events_.front()) {
        batch.events.push_back(*event);
        events_.pop();
    }
    drained_keys_.clear();
    keys_.drain(drained_keys_);
    for (const CallKeys::Heard &heard : drained_keys_)
        batch.events.push_back({heard.event.released ? PortEventKind::kKeyReleased : PortEventKind::kKeyPressed,
                                heard.event.key + (heard.tone ? 256u : 0u), heard.event.duration_ms,
                                heard.event.at_ns});
    playout_.trim();
    if (announcements_)
        announcements_->trim();
    if (lines_.to_sweep())
        lines_.sweep();
}

// ---- SIP thread

void PcmPort::attach(const StreamTap &tap) {
    std::lock_guard lock(control_);
    const uint32_t old_rate = sampleRate();
    tap_ = tap;
    keys_.attach({tap.rate_hz, tap.frame_samples, tap.takes_events, tap.sends_events});
    takes_events_ = tap.takes_events;
    frame_.assign(size_t{tap.frame_samples} * tap.channels, 0);
    mono_.assign(tap.frame_samples, 0);
    silence_.assign(tap.frame_samples, 0);
    // Frames that Python has not fetched are given up when their rate is: what it reads from here on has the new one.
    if (!heard_ || heard_->max_samples() < tap.frame_samples || tap.rate_hz != old_rate) {
        if (heard_)
            dropped_before_ += heard_->dropped() + heard_->size() + sent_->dropped() + sent_->size();
        // The peer chooses how long a frame is (a=ptime), but not how much memory it costs.
        const size_t longest = size_t{kUplinkFrames} * 20 * tap.rate_hz / 1000;
        const size_t frames = std::clamp<size_t>(longest / std::max<size_t>(tap.frame_samples, 1), 4, kUplinkFrames);
        heard_ = std::make_unique<UplinkRing>(frames, tap.frame_samples);
        sent_ = std::make_unique<UplinkRing>(frames, tap.frame_samples);
        drained_.resize(tap.frame_samples);
    }
    for (Playout *playout : {&playout_, announcements_.get()})
        if (playout) {
            playout->set_rate(tap.rate_hz, kPlayoutCapacity_ms);
            playout->settle();
        }
    lines_.flush();
    const int64_t now = monotonic_ns();
    position_ = position_ * tap.rate_hz / old_rate;
    if (detached_ns_ > 0)
        position_ += (now - detached_ns_) / 1000 * tap.rate_hz / 1'000'000;
    heard_until_ = heard_until_ * tap.rate_hz / old_rate;
    if (tap.decoder) {
        const UplinkFormat format{tap.rate_hz, tap.rtp_rate_hz, tap.frame_samples};
        std::lock_guard uplink_lock(uplink_mutex_);
        uplink_ = std::make_unique<Uplink>(format, tap.policy, *tap_.decoder, *this, position_, heard_until_, now);
    }
    last_sent_ = 0;
    rate_hz_ = tap.rate_hz;
    frame_samples_ = tap.frame_samples;
    attached_ = true;
    tell({PortEventKind::kAttached, 0, tap.rate_hz, now});
    hub_.signal();
}

void PcmPort::detach() {
    std::lock_guard lock(control_);
    if (!attached())
        return;
    {
        std::lock_guard uplink_lock(uplink_mutex_);
        if (uplink_) {
            counted_before_ += uplink_->counters();
            waited_ns_ = uplink_->wait_ns();
            heard_until_ = uplink_->position();
        }
        uplink_.reset();
    }
    tap_ = StreamTap{};
    takes_events_ = false;
    attached_ = false;
    detached_ns_ = monotonic_ns();
    playout_.settle();
    if (announcements_)
        announcements_->settle();
    tell({PortEventKind::kDetached, 0, 0, detached_ns_});
    hub_.signal();
}

// ---- transport thread

void PcmPort::receive_key_event(uint32_t timestamp, const uint8_t *payload, size_t length, uint32_t clock_rate_hz,
                            int64_t now_ns) noexcept {
    if (!keys_.receive_event(timestamp, payload, length, clock_rate_hz, now_ns))
        return;
    hub_.ready(*this);
    hub_.signal();
}

void PcmPort::key_timeout(int64_t now_ns) noexcept {
    if (!keys_.handle_timeout(now_ns))
        return;
    hub_.ready(*this);
    hub_.signal();
}

// ---- clock

void PcmPort::tell(const PortEvent &event) noexcept {
    if (!events_.push(event))
        count(events_lost_);
    hub_.ready(*this);
}

void PcmPort::tick(int64_t now_ns) noexcept {
    send_frame(); // first, so that RTP leaves on the beat
    if (tap_.decoder) {
        std::unique_lock lock(uplink_mutex_, std::try_to_lock);
        if (lock) // else a packet is being received: it brings the time along
            advance_uplink(now_ns);
    } else {
        receive_frame(now_ns);
    }
    position_ += tap_.frame_samples;
    if (news_) {
        news_ = false;
        hub_.ready(*this);
    }
}

void PcmPort::skipped(unsigned frames) noexcept {
    position_ += int64_t{frames} * tap_.frame_samples;
    count(frames_skipped_, frames);
}

bool PcmPort::pulse(int64_t now_ns) noexcept {
    std::unique_lock lock(uplink_mutex_, std::try_to_lock);
    if (lock)
        watched_ = advance_uplink(now_ns);
    return !lock || watched_;
}

// With the mutex held; whether packets wait.
bool PcmPort::advance_uplink(int64_t now_ns) noexcept {
    if (!uplink_)
        return false;
    uplink_->handle_timeout(now_ns);
    if (std::exchange(gave_, false))
        hub_.ready(*this);
    return uplink_->waiting();
}

// ---- transport

template <class Receive> void PcmPort::with_uplink(int64_t now_ns, Receive receive) noexcept {
    bool gave = false, watch = false;
    {
        std::lock_guard lock(uplink_mutex_);
        if (!uplink_ || !is_heard())
            return;
        receive(*uplink_);
        gave = std::exchange(gave_, false);
        watch = uplink_->waiting() && !watched_;
        watched_ = watched_ || watch;
    }
    if (watch)
        hub_.watch(shared_from_this());
    if (gave) {
        hub_.ready(*this);
        hub_.nudge(now_ns);
    }
}

void PcmPort::receive(const UplinkPacket &packet) noexcept {
    with_uplink(packet.arrived_ns, [&](Uplink &uplink) { uplink.receive(packet); });
}

void PcmPort::receive_noise(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, int level_dbov,
                            int64_t now_ns) noexcept {
    with_uplink(now_ns,
                [&](Uplink &uplink) { uplink.receive_noise(ssrc, sequence, timestamp, level_dbov, now_ns); });
}

void PcmPort::receive_event(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept {
    with_uplink(now_ns, [&](Uplink &uplink) { uplink.receive_event(ssrc, sequence, now_ns); });
}

void PcmPort::take(const UplinkFrame &frame, const int16_t *pcm) noexcept {
    const bool tones = keys_.detects_tones();
    if (tones && keys_.hear(pcm, frame.samples, frame.arrived_ns))
        gave_ = true;
    pcm = pass_heard(pcm, frame.samples);
    if (!listening_.load(std::memory_order_relaxed))
        return;
    gave_ = true;
    UplinkFrame out = frame;
    out.flags |= tones && keys_.sounding() ? kDtmf : 0;
    heard_->push(out, pcm);
}

const int16_t *PcmPort::pass_heard(const int16_t *pcm, size_t samples) noexcept {
    if (heard_muted_.load(std::memory_order_relaxed) && samples <= silence_.size())
        pcm = silence_.data();
    return lines_.at_heard() ? lines_.pass_heard(sampleRate(), pcm, samples) : pcm;
}

// By Python, by the detector of tones, or by another call.
bool PcmPort::is_heard() const noexcept {
    return listening_.load(std::memory_order_relaxed) || keys_.detects_tones() || lines_.at_heard();
}

// ---- a stream that is heard through PJMEDIA's jitter buffer

void PcmPort::receive_frame(int64_t now_ns) noexcept {
    if (!tap_.receives || !tap_.port->get_frame)
        return;
    pjmedia_frame frame{};
    frame.type = PJMEDIA_FRAME_TYPE_AUDIO;
    frame.buf = frame_.data();
    frame.size = frame_.size() * sizeof(int16_t);
    const bool read = tap_.port->get_frame(tap_.port, &frame) == PJ_SUCCESS && frame.type == PJMEDIA_FRAME_TYPE_AUDIO;
    const size_t filled = read ? std::min(frame.size / sizeof(int16_t), frame_.size()) : 0;
    std::fill(frame_.begin() + static_cast<std::ptrdiff_t>(filled), frame_.end(), int16_t{0});
    const bool concealed = filled < frame_.size() || (tap_.concealed && tap_.concealed(tap_.stream));

    count(frames_in_);
    if (concealed)
        count(frames_concealed_);
    const bool listening = listening_.load(std::memory_order_relaxed), tones = keys_.detects_tones();
    if (is_heard()) {
        const int16_t *pcm = frame_.data();
        if (tap_.channels > 1) {
            for (size_t i = 0; i < mono_.size(); ++i) {
                int32_t sum = 0;
                for (size_t c = 0; c < tap_.channels; ++c)
                    sum += frame_[i * tap_.channels + c];
                mono_[i] = static_cast<int16_t>(sum / tap_.channels);
            }
            pcm = mono_.data();
        }
        news_ = (tones && keys_.hear(pcm, tap_.frame_samples, now_ns)) || news_;
        pcm = pass_heard(pcm, tap_.frame_samples);
        if (listening) {
            UplinkFrame out;
            out.position = position_;
            out.arrived_ns = now_ns;
            out.rate_hz = tap_.rate_hz;
            out.samples = tap_.frame_samples;
            out.flags = static_cast<uint16_t>((concealed ? kConcealed : 0) | (tones && keys_.sounding() ? kDtmf : 0));
            heard_->push(out, pcm);
            news_ = true;
        }
    }
}

// ---- sent

void PcmPort::send_frame() noexcept {
    if (!tap_.sends || !tap_.port->put_frame) {
        if (lines_.at_sent())
            lines_.flush();
        return;
    }
    PlayoutMark marks[2 * kMarksPerFrame]; // first those of announcements
    size_t announced = 0, mark_count = 0;
    const bool dialling = keys_.dialling();
    if (dialling) {
        dial_frame();
    } else {
        keys_.idle();
        size_t filled = 0;
        if (!fill_announcement(mono_.data(), mono_.size(), marks, announced, filled))
            filled = fill(mono_.data(), mono_.size(), marks + announced, mark_count, announced);
        apply_gain(mono_.data(), filled);
        lead_out(mono_.data() + filled, mono_.size() - filled);
    }
    if (!mono_.empty())
        last_sent_ = mono_.back();
    if (lines_.at_sent())
        lines_.pass_sent(tap_.rate_hz, mono_.data(), mono_.size(),
                         dialling || muted_.load(std::memory_order_relaxed), keys_.secret());

    const int16_t *pcm = mono_.data();
    if (tap_.channels > 1) {
        for (size_t i = 0; i < mono_.size(); ++i)
            std::fill_n(frame_.begin() + static_cast<std::ptrdiff_t>(i * tap_.channels), tap_.channels, mono_[i]);
        pcm = frame_.data();
    }
    pjmedia_frame frame{};
    frame.type = PJMEDIA_FRAME_TYPE_AUDIO;
    frame.buf = const_cast<int16_t *>(pcm);
    frame.size = mono_.size() * tap_.channels * sizeof(int16_t);
    tap_.port->put_frame(tap_.port, &frame);
    count(frames_out_);

    const bool tapped = tap_sent_.load(std::memory_order_relaxed);
    if (announced + mark_count == 0 && !tapped)
        return;
    const int64_t sent_ns = monotonic_ns();
    if (tapped) {
        if (keys_.secret())
            std::fill(mono_.begin(), mono_.end(), int16_t{0});
        sent_->push({position_, sent_ns, tap_.rate_hz, tap_.frame_samples, kSent}, mono_.data());
        news_ = true;
    }
    for (size_t i = 0; i < announced + mark_count; ++i)
        tell(marks[i], i < announced, sent_ns);
}

void PcmPort::tell(const PlayoutMark &mark, bool announcement, int64_t sent_ns) noexcept {
    static_assert(static_cast<int>(Transition::kUnderrun) == static_cast<int>(PortEventKind::kUnderrun));
    auto kind = static_cast<PortEventKind>(mark.kind);
    if (mark.kind == Transition::kUnderrun)
        count(underruns_);
    else if (announcement)
        kind = mark.kind == Transition::kStarted ? PortEventKind::kAnnouncementStarted
                                                 : PortEventKind::kAnnouncementFinished;
    tell({kind, mark.utterance_id, mark.samples, sent_ns});
}

// Speech waits as in a pause: what follows it is led in, and what it broke off at is led out.
void PcmPort::dial_frame() noexcept {
    keys_.make_frame(mono_.data(), mono_.size(), monotonic_ns());
    if (voice_ != Voice::kKeys)
        lead_under(mono_.data(), mono_.size());
    voice_ = Voice::kKeys;
}

// True: this frame is the announcement's. Speech waits as in a pause.
bool PcmPort::fill_announcement(int16_t *out, size_t samples, PlayoutMark *marks, size_t &mark_count,
                                size_t &filled) noexcept {
    Playout *playout = announcing_playout_.load(std::memory_order_acquire);
    if (!playout)
        return false;
    filled = playout->pull(out, samples, marks, mark_space(0), mark_count);
    if (filled == 0 && !playout->in_utterance())
        return false;
    if (filled > 0) {
        if (voice_ != Voice::kAnnouncement || playout->was_cleared())
            lead_under(out, filled);
        last_sent_ = out[filled - 1];
    }
    voice_ = Voice::kAnnouncement;
    return true;
}

// Two places stay free for attach and detach. With fewer, marks wait in the playout: late, but not lost.
size_t PcmPort::mark_space(size_t taken) const noexcept {
    const size_t space = events_.space();
    return std::min(kMarksPerFrame, space > taken + 2 ? space - taken - 2 : 0);
}

size_t PcmPort::fill(int16_t *out, size_t samples, PlayoutMark *marks, size_t &mark_count, size_t announced) noexcept {
    const bool paused = paused_.load(std::memory_order_relaxed);
    const size_t filled = paused ? 0 : playout_.pull(out, samples, marks, mark_space(announced), mark_count);
    if (paused || (filled == 0 && voice_ != Voice::kSpeech))
        voice_ = Voice::kNobody;
    if (filled == 0)
        return 0;
    const size_t ramp = std::min<size_t>(filled, tap_.rate_hz / kLeadOut_per_second);
    if (voice_ != Voice::kSpeech) // in the middle of a wave: lead in
        for (size_t i = 0; i < ramp; ++i)
            out[i] = static_cast<int16_t>(out[i] * static_cast<int32_t>(i) / static_cast<int32_t>(ramp));
    if (voice_ != Voice::kSpeech || playout_.was_cleared())
        lead_under(out, filled);
    voice_ = Voice::kSpeech;
    last_sent_ = out[filled - 1];
    return filled;
}

// What was cut off is led out under what follows it.
void PcmPort::lead_under(int16_t *out, size_t samples) const noexcept {
    const size_t ramp = std::min<size_t>(samples, tap_.rate_hz / kLeadOut_per_second);
    for (size_t i = 0; i < ramp && last_sent_ != 0; ++i)
        out[i] = saturate(out[i] + last_sent_ * static_cast<int32_t>(ramp - i) / static_cast<int32_t>(ramp));
}

void PcmPort::apply_gain(int16_t *out, size_t samples) noexcept {
    const int32_t duck = voice_ == Voice::kAnnouncement ? kUnity : duck_.load(std::memory_order_relaxed);
    const int32_t target = muted_.load(std::memory_order_relaxed) ? 0 : duck;
    if (samples == 0) {
        gain_ = target;
        return;
    }
    if (target == kUnity && gain_ == kUnity)
        return;
    for (size_t i = 0; i < samples; ++i) {
        const int32_t gain = gain_ + static_cast<int32_t>((int64_t{target} - gain_) * static_cast<int64_t>(i + 1) /
                                                          static_cast<int64_t>(samples));
        out[i] = static_cast<int16_t>(int64_t{out[i]} * gain / kUnity);
    }
    gain_ = target;
    last_sent_ = out[samples - 1];
}

void PcmPort::lead_out(int16_t *out, size_t samples) noexcept {
    const size_t ramp = std::min<size_t>(samples, tap_.rate_hz / kLeadOut_per_second);
    for (size_t i = 0; i < ramp; ++i)
        out[i] = static_cast<int16_t>(last_sent_ * static_cast<int32_t>(ramp - 1 - i) / static_cast<int32_t>(ramp));
    std::fill(out + ramp, out + samples, int16_t{0});
}

} // namespace parley
