// SPDX-License-Identifier: GPL-3.0-or-later
// Which codecs one call's session description has. PJSIP knows one list for all calls; trunks differ.
#pragma once

#include <string>
#include <vector>

#include <pj/string.h>
#include <pjmedia/sdp.h>

namespace parley {

// Leave these codecs alone in every audio stream of a description we made, in this order, each as its rtpmap has it
// ("PCMU/8000"), with the telephone-events of their clock rates and their redundancy (RFC 2198). A stream that has none
// of them stays as it is.
void keep_codecs(pjmedia_sdp_session &sdp, const std::vector<std::string> &codecs);

} // namespace parley
