// SPDX-License-Identifier: GPL-3.0-or-later
// INVITE with Replaces (RFC 3891): PJSUA would put the new call in the old one's place by itself, and lets nobody ask
// whose it is. Here such an INVITE is one like any other; who answers it decides.
#pragma once

#include <string>

namespace parley {

// From then on PJSUA sees no Replaces header. After Endpoint::libInit(); lasts as long as the endpoint.
void hide_replaces();

// PJSUA's number of the call whose dialog has these tags, ours first; -1 when there is none. SIP thread.
int call_of_dialog(const std::string &call_id, const std::string &our_tag, const std::string &their_tag);

} // namespace parley
