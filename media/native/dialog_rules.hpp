// SPDX-License-Identifier: GPL-3.0-or-later
// What a call's dialog is owed by the RFCs and PJSUA leaves out. SIP thread.
#pragma once

#include <string>

#include <pjsua2.hpp>

namespace parley {

// An offer with `c=0.0.0.0` wants nothing sent to it (RFC 3264 section 8.4): let our answer say that we only listen.
void answer_hold_by_address(pj::OnCallSdpCreatedParam &param);

// OPTIONS inside a dialog, by which some peers ask whether the call still stands (RFC 3261 section 11.2); without this
// they are told 500, and hang up.
void answer_options(pjsip_transaction *tsx, pjsip_rx_data *rdata);

// The Reason header fields (RFC 3326) of a message, with commas between; empty when there are none.
std::string reasons_of(const pjsip_msg *msg);

} // namespace parley
