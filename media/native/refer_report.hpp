// SPDX-License-Identifier: GPL-3.0-or-later
// A REFER that the far end of a call sent us: its answer, and the NOTIFYs that tell how it fares (RFC 3515). PJSUA would
// dial by itself, outside every limit.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <pjsua-lib/pjsua.h>

namespace parley {

// What it asks for, as it is on the wire.
struct ReferRequest {
    std::string to;
    std::string by; // Referred-By; empty: nobody is named
};

// Nothing for a REFER that has not exactly one Refer-To, or too long a one.
std::optional<ReferRequest> read_refer(const pjsip_msg *msg);

// SIP thread.
class ReferReport {
  public:
    // Answer 202, and NOTIFY of 100; null when the dialog cannot have the subscription. It is not answered then.
    static std::unique_ptr<ReferReport> accept(pjsip_dialog *dialog, pjsip_transaction *tsx, pjsip_rx_data *rdata);
    ReferReport(const ReferReport &) = delete;
    ~ReferReport();

    // Tell the status of the call that was asked for; with a final one nothing follows. Nobody may listen any more.
    void tell(int code, bool is_final);

  private:
    ReferReport() = default;
    static void on_state(pjsip_evsub *subscription, pjsip_event *event);

    pjsip_evsub *subscription_ = nullptr; // null: they want to hear nothing (RFC 4488), or have heard the last
};

} // namespace parley
