// SPDX-License-Identifier: GPL-3.0-or-later
// What we say that we can do (Allow, Supported): PJSUA's presence and messages are not ours.
#pragma once

#include <pjsua-lib/pjsua.h>

namespace parley {

// Take back what nobody here does. After Endpoint::libInit().
void trim_capabilities();

// 405 with what is allowed (RFC 3261 section 8.2.1).
void refuse_method(pjsip_transaction *tsx, pjsip_rx_data *rdata);

// 489 with what there is (RFC 6665 section 4.2.1.4), unless it is about a REFER: that is PJSIP's.
void refuse_subscription(pjsip_transaction *tsx, pjsip_rx_data *rdata);

} // namespace parley
