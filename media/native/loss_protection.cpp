// SPDX-License-Identifier: GPL-3.0-or-later
#include "loss_protection.hpp"

#include <algorithm>
#include <cmath>

namespace parley {

namespace {

constexpr uint32_t kNegative = 0x800000; // the total has 24 bits and a sign (RFC 3550 section 6.4.1)

// At 16 kHz and its automatic rate, libopus leaves its redundancy out when it is told to expect 5 % loss or less.
constexpr unsigned kOpusLeastPercent = 10;
constexpr unsigned kOpusMostPercent = 30;

bool is_opus(const pjmedia_stream_info &info) {
    const pj_str_t opus = {const_cast<char *>("opus"), 4};
    return pj_stricmp(&info.fmt.encoding_name, &opus) == 0;
}

// Whether the peer's decoder makes use of in-band FEC (RFC 7587 section 6.1).
bool peer_uses_fec(const pjmedia_stream_info &info) {
    const pj_str_t name = {const_cast<char *>("useinbandfec"), 12};
    if (!info.param)
        return false;
    const pjmedia_codec_fmtp &fmtp = info.param->setting.enc_fmtp;
    for (unsigned i = 0; i < fmtp.cnt; ++i)
        if (pj_stricmp(&fmtp.param[i].name, &name) == 0)
            return pj_strtoul(&fmtp.param[i].val) == 1;
    return false;
}

} // namespace

LossProtection::LossProtection(pjmedia_stream *stream, const pjmedia_stream_info &info, Protection protection)
    : stream_(stream), policy_(protection == Protection::kAlways ? 1 : 0) {
    if (protection == Protection::kOff)
        return;
    if (info.tx_red_pt > 0 && info.tx_red_level > 0) {
        red_.emplace(static_cast<uint8_t>(info.tx_red_pt), static_cast<uint8_t>(info.tx_pt));
        max_generations_ = std::min(static_cast<unsigned>(info.tx_red_level), RedEncoder::kMaxGenerations);
        red_->set_generations(std::min(policy_.generations(), max_generations_));
        generations_ = red_->generations();
    } else if (is_opus(info)) { // what redundancy repeats is as good as the original, in-band FEC is not
        opus_ = peer_uses_fec(info);
    }
    tell_opus();
}

uint8_t *LossProtection::send(uint8_t *packet, unsigned &size) noexcept {
    if (--packets_to_look_ == 0) {
        packets_to_look_ = kPacketsPerLook;
        look_at_reports();
    }
    if (!red_)
        return packet;
    size_t wrapped_size = size;
    const uint8_t *wrapped = red_->wrap(packet, wrapped_size);
    size = static_cast<unsigned>(wrapped_size);
    packets_.store(red_->packets_wrapped(), std::memory_order_relaxed);
    return const_cast<uint8_t *>(wrapped);
}

ProtectionCounters LossProtection::counters() const noexcept {
    return {packets_.load(std::memory_order_relaxed), generations_.load(std::memory_order_relaxed),
            reported_loss_.load(std::memory_order_relaxed)};
}

void LossProtection::look_at_reports() noexcept {
    pjmedia_rtcp_stat stat;
    if (pjmedia_stream_get_stat(stream_, &stat) != PJ_SUCCESS)
        return;
    const uint64_t lost = stat.tx.loss & kNegative ? 0 : stat.tx.loss;
    if (!policy_.receive_totals(stat.tx.update_cnt, stat.tx.pkt, lost))
        return;
    reported_loss_.store(policy_.loss(), std::memory_order_relaxed);
    if (red_) {
        red_->set_generations(std::min(policy_.generations(), max_generations_));
        generations_.store(red_->generations(), std::memory_order_relaxed);
    }
    tell_opus();
}

void LossProtection::tell_opus() noexcept {
    if (!opus_)
        return;
    unsigned percent = 0;
    if (policy_.generations() > 0)
        percent = std::clamp(static_cast<unsigned>(std::ceil(policy_.loss() * 100)), kOpusLeastPercent,
                             kOpusMostPercent);
    if (percent == opus_loss_percent_)
        return;
    pjmedia_codec_param param = *pjmedia_stream_get_codec_param(stream_);
    param.setting.packet_loss = percent;
    param.setting.plc = 1; // here: whether the encoder sends FEC
    if (pjmedia_stream_modify_codec_param(stream_, &param) == PJ_SUCCESS)
        opus_loss_percent_ = percent;
}

} // namespace parley
