// SPDX-License-Identifier: GPL-3.0-or-later
// Where peers outside reach us, when that changes while calls stand. SIP thread only, but for published_v4().
#pragma once

#include <cstdint>
#include <string>

namespace parley {

// From now on Via, Contact and session descriptions name this IPv4 address, of calls that stand, too. What was sent
// before is not taken back.
void publish_address(const std::string &host);

// The Contact of an account's next registration, and of its calls.
void force_contact(int account, const std::string &contact);

// In network order; 0: none was published. Any thread.
uint32_t published_v4() noexcept;

} // namespace parley
