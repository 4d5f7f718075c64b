// SPDX-License-Identifier: GPL-3.0-or-later
// Where peers outside reach us, when that changes while calls stand. SIP thread only, but for published_v4().
#pragma once

#include <cstdint>
#include <string>

namespace parley {

// Know the TCP and TLS connections that we make, for leave_connections(). After Endpoint::libInit(), before the first
// transport is created, once.
void follow_connections();

// Send nothing new through the connections that we made: they have led through a router that has another address by now
// and knows nothing of them. What is under way on them may end; then they are closed.
void leave_connections();

// From now on Via, Contact and session descriptions name this IPv4 address, of calls that stand, too. What was sent
// before is not taken back.
void publish_address(const std::string &host);

// The Contact of an account's next registration, and of its calls.
void force_contact(int account, const std::string &contact);

// In network order; 0: none was published. Any thread.
uint32_t published_v4() noexcept;

} // namespace parley
