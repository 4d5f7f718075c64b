// SPDX-License-Identifier: GPL-3.0-or-later
// The decoders of received packets. They are not PJMEDIA's codecs: those conceal with a delay of 5 ms, and its Opus
// codec gives every packet out only when the next one is there.
#pragma once

#include <memory>

#include "packet_decoder.hpp"
#include "rtp_packet.hpp"

namespace parley {

// Null for a codec that is not known here.
std::unique_ptr<PacketDecoder> make_decoder(const StreamFormat &format);

} // namespace parley
