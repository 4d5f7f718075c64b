// SPDX-License-Identifier: GPL-3.0-or-later
#include "redundancy.hpp"

#include <algorithm>
#include <cstring>

namespace parley {

namespace {

constexpr size_t kBlockHeader = 4; // F bit and payload type, 14 bits of offset, 10 bits of length
constexpr size_t kLastHeader = 1;
constexpr uint8_t kFollowed = 0x80;

uint32_t read_u32(const uint8_t *bytes) noexcept {
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

} // namespace

bool parse_red(const uint8_t *payload, size_t size, uint32_t timestamp, RedPayload &out) noexcept {
    out.count = 0;
    size_t headers = 0; // bytes of headers before the one that is looked at
    size_t data = 0;    // bytes that the redundant blocks take
    size_t blocks = 0;
    for (;; ++blocks, headers += kBlockHeader) {
        if (headers + kLastHeader > size)
            return false;
        if (!(payload[headers] & kFollowed))
            break;
        if (headers + kBlockHeader > size || blocks + 1 == RedPayload::kMaxBlocks)
            return false;
        data += read_u32(payload + headers) & 0x3FF;
    }
    const size_t begin = headers + kLastHeader;
    if (data > size - begin)
        return false;

    const uint8_t *at = payload + begin;
    for (size_t i = 0; i < blocks; ++i) {
        const uint32_t header = read_u32(payload + i * kBlockHeader);
        const size_t length = header & 0x3FF;
        if (length > 0)
            out.blocks[out.count++] = {static_cast<uint8_t>(header >> 24 & 0x7F), true,
                                       timestamp - (header >> 10 & 0x3FFF), at, length};
        at += length;
    }
    const size_t left = size - begin - data;
    if (left > 0)
        out.blocks[out.count++] = {payload[headers], false, timestamp, at, left};
    return true;
}

void RedEncoder::set_generations(unsigned generations) noexcept {
    generations_ = std::min(generations, kMaxGenerations);
    if (generations_ == 0)
        remembered_ = 0;
}

const uint8_t *RedEncoder::wrap(const uint8_t *packet, size_t &size) noexcept {
    if (generations_ == 0 || size <= kRtpHeader || (packet[1] & 0x7F) != primary_payload_type_ ||
        packet[0] != 0x80) // version 2; padding, extensions and contributing sources are nothing we send
        return packet;
    const uint8_t *payload = packet + kRtpHeader;
    const size_t payload_size = size - kRtpHeader;
    const uint32_t timestamp = read_u32(packet + 4);
    const uint32_t ssrc = read_u32(packet + 8);
    if (ssrc != ssrc_)
        remembered_ = 0;
    ssrc_ = ssrc;

    // Which of the remembered ones come along, newest first: once one does not, older ones do not either.
    size_t total = kRtpHeader + kLastHeader + payload_size;
    size_t chosen = 0;
    for (; chosen < std::min<size_t>(generations_, remembered_); ++chosen) {
        const Remembered &block = history_[(newest_ + kMaxGenerations - chosen) % kMaxGenerations];
        const uint32_t offset = timestamp - block.timestamp; // huge when the timestamp went back
        if (offset == 0 || offset > kMaxOffset || total + kBlockHeader + block.size > kMaxPacket)
            break;
        total += kBlockHeader + block.size;
    }
    if (chosen == 0) {
        remember(payload, payload_size, timestamp);
        return packet;
    }

    std::memcpy(out_.data(), packet, kRtpHeader);
    out_[1] = static_cast<uint8_t>((packet[1] & 0x80) | red_payload_type_);
    uint8_t *header = out_.data() + kRtpHeader;
    uint8_t *data = header + chosen * kBlockHeader + kLastHeader;
    for (size_t i = chosen; i-- > 0;) { // oldest first
        const Remembered &block = history_[(newest_ + kMaxGenerations - i) % kMaxGenerations];
        const uint32_t rest = (timestamp - block.timestamp) << 10 | static_cast<uint32_t>(block.size);
        *header++ = kFollowed | primary_payload_type_;
        *header++ = static_cast<uint8_t>(rest >> 16);
        *header++ = static_cast<uint8_t>(rest >> 8);
        *header++ = static_cast<uint8_t>(rest);
        std::memcpy(data, block.data.data(), block.size);
        data += block.size;
    }
    *header = primary_payload_type_;
    std::memcpy(data, payload, payload_size);
    remember(payload, payload_size, timestamp);
    size = total;
    ++packets_wrapped_;
    return out_.data();
}

void RedEncoder::remember(const uint8_t *payload, size_t size, uint32_t timestamp) noexcept {
    if (size > kMaxBlock) {
        remembered_ = 0;
        return;
    }
    newest_ = (newest_ + 1) % kMaxGenerations;
    remembered_ = std::min(remembered_ + 1, static_cast<size_t>(kMaxGenerations));
    history_[newest_].timestamp = timestamp;
    history_[newest_].size = size;
    std::memcpy(history_[newest_].data.data(), payload, size);
}

} // namespace parley
