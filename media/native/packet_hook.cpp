// SPDX-License-Identifier: GPL-3.0-or-later
#include "packet_hook.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "clock.hpp"
#include "pcm_port.hpp"

namespace parley {

StreamFormat format_of(const pjmedia_stream_info &info) {
    StreamFormat format;
    const pj_str_t &name = info.fmt.encoding_name;
    const auto length = std::min<size_t>(static_cast<size_t>(name.slen), sizeof format.codec - 1);
    std::transform(name.ptr, name.ptr + length, format.codec,
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    format.rate_hz = info.fmt.clock_rate;
    format.rtp_rate_hz = info.fmt.clock_rate;
    if (std::strcmp(format.codec, "G722") == 0)
        format.rtp_rate_hz = 8000;
    else if (std::strcmp(format.codec, "OPUS") == 0)
        format.rtp_rate_hz = 48000;
    format.channels = static_cast<uint16_t>(info.fmt.channel_cnt);
    format.rx_pt = static_cast<int>(info.rx_pt);
    format.tx_pt = static_cast<int>(info.tx_pt);
    // PJMEDIA reads 0 as "none", too; telephone-event and redundancy always have a dynamic type.
    format.rx_event_pt = info.rx_event_pt > 0 ? info.rx_event_pt : -1;
    format.tx_event_pt = info.tx_event_pt > 0 ? info.tx_event_pt : -1;
    format.rx_red_pt = info.rx_red_pt > 0 ? static_cast<int>(info.rx_red_pt) : -1;
    format.tx_red_pt = info.tx_red_pt > 0 ? static_cast<int>(info.tx_red_pt) : -1;
    return format;
}

namespace {

void accept(pjmedia_stream_hook &hook, int payload_type) {
    if (payload_type >= 0 && payload_type < 128)
        hook.rx_pt[payload_type / 32] |= 1u << (payload_type % 32);
}

} // namespace

PacketHook::PacketHook(pjmedia_stream *stream, const pjmedia_stream_info &info, const StreamFormat &format,
                       PcmPort &port, bool takes_audio, Protection protection)
    : stream_(stream), format_(format), port_(port), takes_audio_(takes_audio), protection_(stream, info, protection) {
    pjmedia_stream_hook hook{};
    hook.user_data = this;
    hook.on_rx = on_rx;
    hook.on_tx = protection_.active() || format_.tx_event_pt >= 0 ? on_tx : nullptr;
    // Besides the codec's and telephone-event, which PJMEDIA lets through anyway. What is accepted here must be taken
    // below: the jitter buffer would give it to the codec's decoder.
    if (takes_audio_)
        accept(hook, kComfortNoisePt);
    pjmedia_stream_set_hook(stream_, &hook);
}

PacketHook::~PacketHook() { pjmedia_stream_set_hook(stream_, nullptr); }

pj_bool_t PacketHook::on_rx(void *self, const pjmedia_rtp_hdr *header, const void *payload, unsigned size) {
    RtpPacket packet;
    packet.ssrc = pj_ntohl(header->ssrc);
    packet.timestamp = pj_ntohl(header->ts);
    packet.sequence = pj_ntohs(header->seq);
    packet.payload_type = static_cast<uint8_t>(header->pt);
    packet.marker = header->m != 0;
    packet.payload = static_cast<const uint8_t *>(payload);
    packet.size = size;
    packet.arrived_ns = monotonic_ns();
    return static_cast<PacketHook *>(self)->receive(packet) ? PJ_TRUE : PJ_FALSE;
}

void *PacketHook::on_tx(void *self, void *packet, unsigned *size) {
    return static_cast<PacketHook *>(self)->send(static_cast<uint8_t *>(packet), *size);
}

// ---- received

// Events come first: their payload type is theirs alone, whatever else was negotiated. A redundant packet is unpacked
// before noise and audio, which may be in it.
bool PacketHook::receive(const RtpPacket &packet) noexcept {
    port_.key_timeout(packet.arrived_ns);
    const int type = packet.payload_type;
    if (type == format_.rx_event_pt)
        return receive_event(packet);
    if (!takes_audio_)
        return false;
    if (type == format_.rx_red_pt)
        return receive_redundant(packet);
    if (type == kComfortNoisePt)
        return receive_noise(packet);
    if (type == format_.rx_pt)
        return receive_audio(packet);
    return false;
}

// RFC 4733. What its copies in redundancy (RFC 2198) say is the same.
bool PacketHook::receive_event(const RtpPacket &packet) noexcept {
    port_.receive_key_event(packet.timestamp, packet.payload, packet.size, format_.rtp_rate_hz, packet.arrived_ns);
    if (takes_audio_)
        port_.receive_event(packet.ssrc, packet.sequence, packet.arrived_ns);
    return true;
}

// RFC 2198. A peer carries along what it sent just before: one packet for each block, whose number nobody says.
bool PacketHook::receive_redundant(const RtpPacket &packet) noexcept {
    RedPayload red;
    if (!parse_red(packet.payload, packet.size, packet.timestamp, red))
        return true;
    for (size_t i = 0; i < red.count; ++i) {
        const RedBlock &block = red.blocks[i];
        RtpPacket one = packet;
        one.payload_type = block.payload_type;
        one.payload = block.data;
        one.size = block.size;
        one.timestamp = block.timestamp;
        if (!block.redundant) {
            if (block.payload_type != format_.rx_red_pt)
                receive(one);
        } else if (block.payload_type == format_.rx_event_pt) {
            port_.receive_key_event(one.timestamp, one.payload, one.size, format_.rtp_rate_hz, one.arrived_ns);
        } else if (block.payload_type == format_.rx_pt) {
            const bool has_primary = !red.blocks[red.count - 1].redundant;
            one.sequence = static_cast<uint16_t>(packet.sequence - (red.count - i - (has_primary ? 1 : 0)));
            give_audio(one, true);
        }
    }
    return true;
}

// RFC 3389: the first byte is the level; the spectrum that may follow is not used.
bool PacketHook::receive_noise(const RtpPacket &packet) noexcept {
    if (packet.size > 0)
        port_.receive_noise(packet.ssrc, packet.sequence, packet.timestamp, packet.payload[0] & 0x7F,
                             packet.arrived_ns);
    return true;
}

bool PacketHook::receive_audio(const RtpPacket &packet) noexcept {
    give_audio(packet, false);
    return true;
}

void PacketHook::give_audio(const RtpPacket &packet, bool recovered) noexcept {
    UplinkPacket audio;
    audio.recovered = recovered;
    audio.ssrc = packet.ssrc;
    audio.timestamp = packet.timestamp;
    audio.sequence = packet.sequence;
    audio.payload = packet.payload;
    audio.size = packet.size;
    audio.arrived_ns = packet.arrived_ns;
    port_.receive(audio);
}

// ---- sent

// A key takes the place of sound, and is not protected: it is sent again and again anyway.
uint8_t *PacketHook::send(uint8_t *packet, unsigned &size) noexcept {
    if (uint8_t *event = port_.send_event(packet, size, format_.tx_event_pt, format_.rtp_rate_hz)) {
        size = TelephoneEventSender::kPacket;
        return event;
    }
    return protection_.active() ? protection_.send(packet, size) : packet;
}

} // namespace parley
