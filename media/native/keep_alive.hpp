// SPDX-License-Identifier: GPL-3.0-or-later
// Answers the pings by which a peer keeps its TCP or TLS connection to us open, and learns that it is dead (RFC 5626
// section 3.5.1). SIP thread.
#pragma once

namespace parley {

// After Endpoint::libInit(), once. PJSIP itself passes line ends between messages over in silence.
void answer_pings();

} // namespace parley
