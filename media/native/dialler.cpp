// SPDX-License-Identifier: GPL-3.0-or-later
#include "dialler.hpp"

#include <algorithm>
#include <cmath>

#include "dtmf_frequencies.hpp"

namespace parley {

namespace {

constexpr double kPi = 3.14159265358979323846;
// -10 and -9 dBm0 (0 dBm0 is -6.2 dBov): the higher one is a little louder, as lines lose more of it.
constexpr double kLow = 32768 * 0.22, kHigh = 32768 * 0.247;
constexpr double kEdge_s = 0.003;

} // namespace

bool Dialler::dial(const std::vector<Dialled> &keys) {
    if (keys.size() > queue_.space())
        return false;
    for (const Dialled &key : keys)
        queue_.push(key);
    return true;
}

bool Dialler::begin(bool peer_takes_events) noexcept {
    const Dialled *next = queue_.front();
    if (next == nullptr)
        return false;
    item_ = *next;
    queue_.pop();
    now_dialling_ = true;
    as_event_ = item_.method != DialMethod::kTones && peer_takes_events; // a re-INVITE may have changed that
    at_ = 0;
    ends_ = 0;
    return true;
}

void Dialler::make_frame(int16_t *out, size_t samples, uint32_t rate_hz, bool peer_takes_events) noexcept {
    std::fill_n(out, samples, int16_t{0});
    has_press_ = secret_ = false;
    if (!now_dialling_ && !begin(peer_takes_events))
        return;
    if (rate_hz != rate_hz_) { // a re-INVITE
        at_ = rate_hz_ == 0 ? 0 : at_ * rate_hz / rate_hz_;
        rate_hz_ = rate_hz;
    }
    const bool is_key = item_.key != Dialled::kPause;
    const size_t on = is_key ? size_t{item_.on_ms} * rate_hz / 1000 : 0;
    const size_t all = on + size_t{item_.off_ms} * rate_hz / 1000;
    bool over = at_ + samples >= all;
    secret_ = item_.secret && is_key;
    if (is_key && as_event_) {
        // A press lasts whole packets, at least until the copies of its end are out.
        if (at_ == 0)
            press_ = {press_.serial + 1 == 0 ? 1 : press_.serial + 1, item_.key, item_.on_ms, false};
        press_.end = at_ + samples >= on;
        has_press_ = !press_.end || ends_ < kEndPackets;
        ends_ += press_.end && has_press_;
        over = over && ends_ == kEndPackets;
    } else if (is_key) {
        add_tone(out, samples, rate_hz, on);
    }
    at_ += samples;
    now_dialling_ = !over;
}

void Dialler::add_tone(int16_t *out, size_t samples, uint32_t rate_hz, size_t on_samples) const noexcept {
    const double low = 2 * kPi * kDtmfRows_hz[dtmf_row(item_.key)] / rate_hz;
    const double high = 2 * kPi * kDtmfColumns_hz[dtmf_column(item_.key)] / rate_hz;
    const double edge = kEdge_s * rate_hz;
    for (size_t i = 0; i < samples && at_ + i < on_samples; ++i) {
        const auto at = static_cast<double>(at_ + i);
        const double swell = std::min({1.0, at / edge, static_cast<double>(on_samples - at_ - i) / edge});
        out[i] = static_cast<int16_t>(std::lround(swell * (kLow * std::sin(low * at) + kHigh * std::sin(high * at))));
    }
}

} // namespace parley
