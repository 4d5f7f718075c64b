// SPDX-License-Identifier: GPL-3.0-or-later
#include "codecs.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <opus/opus.h>
#include <pjmedia-codec/types.h>

extern "C" {
#include "g722/g722_dec.h"
}

namespace parley {

namespace {

// ITU-T G.711: a table of 256 samples for either law.
class G711Decoder final : public PacketDecoder {
  public:
    explicit G711Decoder(bool a_law) : table_(a_law ? a_law_table() : mu_law_table()) {}

    size_t samples(const uint8_t *, size_t size) const noexcept override { return size; }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        for (size_t i = 0; i < size; ++i)
            pcm[i] = table_[payload[i]];
        return size;
    }

  private:
    using Table = std::array<int16_t, 256>;

    static Table mu_law_table() {
        Table table;
        for (int code = 0; code < 256; ++code) {
            const int inverted = ~code & 0xFF;
            const int magnitude = (((inverted & 0x0F) << 3) + 0x84) << (inverted >> 4 & 7);
            table[static_cast<size_t>(code)] = static_cast<int16_t>(inverted & 0x80 ? 0x84 - magnitude : magnitude - 0x84);
        }
        return table;
    }
    static Table a_law_table() {
        Table table;
        for (int code = 0; code < 256; ++code) {
            const int toggled = code ^ 0x55; // every other bit is sent inverted
            const int segment = toggled >> 4 & 7;
            int magnitude = ((toggled & 0x0F) << 4) + 8;
            if (segment > 0)
                magnitude = (magnitude + 0x100) << (segment - 1);
            table[static_cast<size_t>(code)] = static_cast<int16_t>(toggled & 0x80 ? magnitude : -magnitude);
        }
        return table;
    }

    const Table table_;
};

// RFC 3551 section 4.5.11: network byte order.
class L16Decoder final : public PacketDecoder {
  public:
    size_t samples(const uint8_t *, size_t size) const noexcept override { return size / 2; }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        for (size_t i = 0; i < size / 2; ++i)
            pcm[i] = static_cast<int16_t>(payload[2 * i] << 8 | payload[2 * i + 1]);
        return size / 2;
    }
};

// ITU-T G.722 at 64 kbit/s, with the decoder that PJMEDIA brings. It gives 14 bits.
class G722Decoder final : public PacketDecoder {
  public:
    G722Decoder() { g722_dec_init(&decoder_); }
    ~G722Decoder() override { g722_dec_deinit(&decoder_); }

    size_t samples(const uint8_t *, size_t size) const noexcept override { return 2 * size; }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        pj_size_t samples = 2 * size;
        if (g722_dec_decode(&decoder_, const_cast<uint8_t *>(payload), size, pcm, &samples) != PJ_SUCCESS)
            return 0;
        for (size_t i = 0; i < samples; ++i)
            pcm[i] = static_cast<int16_t>(std::clamp(pcm[i] * 4, -32768, 32767));
        return samples;
    }

  private:
    g722_dec_t decoder_{};
};

// RFC 6716, with libopus's own concealment and in-band forward error correction.
class OpusDecoder final : public PacketDecoder {
  public:
    explicit OpusDecoder(uint32_t rate_hz)
        : rate_hz_(rate_hz), step_(rate_hz / 400), made_up_(rate_hz * 120 / 1000),
          state_(opus_decoder_create(static_cast<opus_int32>(rate_hz), 1, nullptr)) {}
    ~OpusDecoder() override { opus_decoder_destroy(state_); }

    bool works() const noexcept { return state_ != nullptr; }

    size_t samples(const uint8_t *payload, size_t size) const noexcept override {
        const int samples = opus_packet_get_nb_samples(payload, static_cast<opus_int32>(size),
                                                       static_cast<opus_int32>(rate_hz_));
        return samples > 0 ? static_cast<size_t>(samples) : 0;
    }
    size_t decode(const uint8_t *payload, size_t size, int16_t *pcm) noexcept override {
        const int samples = opus_decode(state_, payload, static_cast<opus_int32>(size), pcm,
                                        static_cast<int>(made_up_.size()), 0);
        return samples > 0 ? static_cast<size_t>(samples) : 0;
    }
    bool conceal(int16_t *pcm, size_t samples) noexcept override {
        const size_t whole = (samples + step_ - 1) / step_ * step_; // libopus makes up 2.5 ms and multiples
        if (whole > made_up_.size() ||
            opus_decode(state_, nullptr, 0, made_up_.data(), static_cast<int>(whole), 0) < static_cast<int>(samples))
            return false;
        std::copy_n(made_up_.begin(), samples, pcm);
        return true;
    }
    bool recover(const uint8_t *payload, size_t size, int16_t *pcm, size_t samples) noexcept override {
        return samples % step_ == 0 && has_redundancy(payload, size) &&
               opus_decode(state_, payload, static_cast<opus_int32>(size), pcm, static_cast<int>(samples), 1) ==
                   static_cast<int>(samples);
    }

  private:
    // The LBRR flag, which follows the voice activity flags of the SILK frames (RFC 6716 section 4.2.3). Without it
    // libopus would conceal and call it a success.
    static bool has_redundancy(const uint8_t *payload, size_t size) noexcept {
        const uint8_t *frames[48];
        opus_int16 sizes[48];
        const int count = opus_packet_parse(payload, static_cast<opus_int32>(size), nullptr, frames, sizes, nullptr);
        if (count < 1 || sizes[0] < 1 || (payload[0] & 0x80)) // configurations from 16 on are CELT alone
            return false;
        const int per_frame_48k = opus_packet_get_samples_per_frame(payload, 48000);
        const int silk_frames = std::max(1, per_frame_48k / 960);
        const bool stereo = (payload[0] & 0x04) != 0;
        const bool middle = frames[0][0] >> (7 - silk_frames) & 1;
        return middle || (stereo && (frames[0][0] >> (6 - 2 * silk_frames) & 1));
    }

    const uint32_t rate_hz_;
    const size_t step_;
    std::vector<int16_t> made_up_;
    ::OpusDecoder *const state_;
};

} // namespace

std::unique_ptr<PacketDecoder> make_decoder(const StreamFormat &format) {
    if (std::strcmp(format.codec, "OPUS") == 0) { // decoded to mono, whatever was sent
        auto decoder = std::make_unique<OpusDecoder>(format.rate_hz);
        return decoder->works() ? std::move(decoder) : nullptr;
    }
    if (format.channels != 1)
        return nullptr;
    if (std::strcmp(format.codec, "PCMU") == 0 || std::strcmp(format.codec, "PCMA") == 0)
        return std::make_unique<G711Decoder>(format.codec[3] == 'A');
    if (std::strcmp(format.codec, "L16") == 0)
        return std::make_unique<L16Decoder>();
    if (std::strcmp(format.codec, "G722") == 0)
        return std::make_unique<G722Decoder>();
    return nullptr;
}

} // namespace parley
