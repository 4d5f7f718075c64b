// SPDX-License-Identifier: GPL-3.0-or-later
// A dialog that stands (RFC 3261 section 12), as another process can go on with it.
//
// PJSIP has no way in for such a dialog. But PJSUA asks for the description of a call that it is about to make when the
// dialog is made and nothing is sent yet: there its identifiers, route set and numbers become those of the other
// process, and what PJSIP takes for a first INVITE is a re-INVITE to the far end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <pjmedia/sdp.h>
#include <pjsip.h>

namespace parley {

struct DialogState {
    std::string call_id; // empty: there is none
    std::string local_tag, remote_tag;
    std::string local_uri, remote_uri; // as From and To have them, without tags
    std::string target;                // the far end's Contact
    std::vector<std::string> routes;   // URIs of our requests' Route, the nearest first
    int32_t local_cseq = 0;            // of our next request
    int32_t remote_cseq = -1;          // of their last one
    uint32_t sdp_id = 0, sdp_version = 0; // of the origin of our last description (RFC 3264 section 8)
};

// That of a call of PJSUA which is established. SIP thread.
DialogState dialog_state(int call);

// What PJSUA is about to offer with its first INVITE becomes the next description of a dialog, and the dialog that
// dialog. Whether it worked.
bool take_over(pjsip_dialog *dialog, pjmedia_sdp_session &offer, const DialogState &state);

} // namespace parley
