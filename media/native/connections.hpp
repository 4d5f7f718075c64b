// SPDX-License-Identifier: GPL-3.0-or-later
// What a stranger may do with TCP and TLS connections, and a change of the certificate while calls stand. SIP thread.
#pragma once

#include <cstdint>
#include <string>

namespace parley {

// Of one IPv4 address, or IPv6 network of 64 bits, at most so many incoming connections, TLS before its handshake
// included; one more is closed at once. Before the first transport is created.
void limit_connections(unsigned per_address);
// How many were closed for that so far. Any thread.
uint64_t refused_connections();

// Send nothing new through the connections that we made: they have led through a router that has another address by now
// and knows nothing of them. What is under way on them may end; then they are closed.
void leave_connections();

// Let new TLS connections use these files from now on; those that stand go on with what they began with. The listener
// is closed and opened again at `port` of `address` (IPv4 or IPv6). Returns PJSIP's status; without TLS PJ_ENOTFOUND.
int reload_tls(const std::string &address, int port, const std::string &certificate, const std::string &key,
               const std::string &authorities, bool verify_servers, bool ask_clients, unsigned handshake_ms);

} // namespace parley
