// SPDX-License-Identifier: GPL-3.0-or-later
// PJLIB asks DNS for whatever is no address, and waits: for the host in an SDP's c= line, for example, which anybody
// may write. On the thread that carries every call nobody may wait. This machine's own name is
// looked up once.
#pragma once

namespace parley {

// Whether PJLIB's own lookups fail at once, but for that of this machine's name. Any thread.
void refuse_names(bool on);

// Look our own name up now, while nobody waits.
void know_own_name();

} // namespace parley
