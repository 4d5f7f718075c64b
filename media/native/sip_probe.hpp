// SPDX-License-Identifier: GPL-3.0-or-later
// OPTIONS to see whether a server is there (RFC 3261 section 11).
#pragma once

#include <string>

#include <pjsua2.hpp>

namespace parley {

// Outside of every dialog and account: it has no credentials that a server could challenge us for. One at a time in a
// process; all of it on the SIP thread.
class SipProbe {
  public:
    SipProbe();
    virtual ~SipProbe();

    // onProbed() follows, perhaps before this returns; so it does when it cannot be sent at all.
    void send(unsigned probe, const std::string &target_uri, const std::string &from_uri);

    // For Python to override: the final response's status, 408 after timer F (32 s), 503 when it could not be sent.
    virtual void onProbed(unsigned probe, int status) {}
};

} // namespace parley
