// SPDX-License-Identifier: GPL-3.0-or-later
#include "stream_link.hpp"

#include <utility>

#include <pjmedia/jbuf.h>

#include "codecs.hpp"
#include "media_call.hpp"

namespace parley {

namespace {

// Ends the waiting for late packets, and wakes Python for what came since the last beat. It shares its deadlines with
// the calls' groups, so that one wake-up tells of both.
class Pulse final : public Ticker {
  public:
    void tick(int64_t now_ns) noexcept override { pcm_hub().pulse(now_ns); }
    void skipped(unsigned) noexcept override {}
};

// The SIP thread's: the pulse beats while any call has audio.
const std::shared_ptr<Pulse> pulse = std::make_shared<Pulse>();
size_t calls_with_audio = 0;

void audio_begins() {
    if (calls_with_audio++ == 0)
        media_clock().attach(pulse, PcmHub::kPulse_ns);
}

void audio_ends() {
    if (--calls_with_audio == 0)
        media_clock().detach(pulse.get());
}

bool made_up(void *stream) {
    return pjmedia_stream_get_last_jb_frame_type(static_cast<pjmedia_stream *>(stream)) != PJMEDIA_JB_NORMAL_FRAME;
}

} // namespace

StreamLink::StreamLink(pjmedia_stream *stream, pjmedia_port *stream_port, const pjmedia_stream_info &info,
                       std::shared_ptr<PcmPort> port, int jitter, Protection protection)
    : stream_(stream), port_(std::move(port)) {
    StreamTap tap;
    tap.port = stream_port;
    tap.rate_hz = PJMEDIA_PIA_SRATE(&stream_port->info);
    tap.channels = static_cast<uint16_t>(PJMEDIA_PIA_CCNT(&stream_port->info));
    tap.frame_samples = static_cast<uint16_t>(PJMEDIA_PIA_SPF(&stream_port->info) / tap.channels);
    tap.sends = (info.dir & PJMEDIA_DIR_ENCODING) != 0;
    tap.receives = (info.dir & PJMEDIA_DIR_DECODING) != 0;
    tap.takes_events = info.tx_event_pt > 0;
    tap.sends_events = info.rx_event_pt > 0;
    tap.concealed = made_up;
    tap.stream = stream;
    const StreamFormat format = format_of(info);
    if (jitter != kPjmediaJitter) {
        tap.decoder = make_decoder(format);
        tap.rtp_rate_hz = format.rtp_rate_hz;
        tap.policy = static_cast<JitterPolicy>(jitter);
    }
    port_->attach(tap);
    hook_ = std::make_unique<PacketHook>(stream, info, format, *port_, tap.decoder != nullptr, protection);
    audio_begins();
    media_clock().attach(port_, int64_t{tap.frame_samples} * 1'000'000'000 / tap.rate_hz);
}

StreamLink::~StreamLink() {
    media_clock().detach(port_.get()); // from here on the clock does not touch the stream
    audio_ends();
    hook_.reset(); // nor do packets reach the port
    port_->detach();
}

void StreamLink::count(RtpStats &all) const {
    pjmedia_rtcp_stat stat;
    if (pjmedia_stream_get_stat(stream_, &stat) != PJ_SUCCESS)
        return;
    all.rx_packets += stat.rx.pkt;
    all.rx_lost += stat.rx.loss;
    all.rx_gaps += static_cast<uint64_t>(stat.rx.loss_period.n);
    all.rx_jitter_us = static_cast<uint32_t>(stat.rx.jitter.mean);
    all.tx_packets += stat.tx.pkt;
    all.tx_reports += stat.tx.update_cnt;
    // 24 bits and a sign: duplicates can bring it below 0 (RFC 3550 section 6.4.1), which PJMEDIA does not know.
    if (!(stat.tx.loss & 0x800000))
        all.tx_lost += stat.tx.loss;
    all.tx_jitter_us = static_cast<uint32_t>(stat.tx.jitter.mean);
    all.rtt_us = static_cast<uint32_t>(stat.rtt.mean);
    const ProtectionCounters protection = hook_->protection().counters();
    all.tx_redundant += protection.packets;
    all.tx_generations = protection.generations;
    all.tx_reported_loss = protection.reported_loss;
}

} // namespace parley
