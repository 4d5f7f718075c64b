// SPDX-License-Identifier: GPL-3.0-or-later
// A copy of every SIP message that is sent, or received and taken up by the transaction layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace parley {

struct SipCopy {
    int64_t at_us = 0; // wall clock, microseconds since 1970
    bool sent = false;
    std::string transport; // UDP, TCP, TLS
    std::string local;     // address:port
    std::string peer;
    std::string call_id;
    std::string text; // as on the wire: any bytes
};

// What came since the last call, in its order. Between two calls at most 4 MiB are kept, of a message 16 KiB: the rest
// is counted in `left_out`. SIP thread.
struct SipCopies {
    std::vector<SipCopy> messages;
    uint64_t left_out = 0;
};
SipCopies take_sip_copies();

// After Endpoint::libInit(), once. SIP thread.
void start_sip_tap();

} // namespace parley
