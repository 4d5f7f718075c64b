// SPDX-License-Identifier: GPL-3.0-or-later
#include "refer_report.hpp"

#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

constexpr pj_ssize_t kLongest = 1000;

const pjsip_generic_string_hdr *find(const pjsip_msg *msg, const char *name, const char *compact,
                                     const void *after = nullptr) {
    const pj_str_t full = pj_str(const_cast<char *>(name)), brief = pj_str(const_cast<char *>(compact));
    return static_cast<const pjsip_generic_string_hdr *>(
        pjsip_msg_find_hdr_by_names(msg, &full, &brief, const_cast<void *>(after)));
}

bool wants_no_reports(const pjsip_msg *msg) {
    const auto *wish = find(msg, "Refer-Sub", "Refer-Sub");
    return wish && pj_strnicmp2(&wish->hvalue, "false", 5) == 0;
}

// The subscription belongs to PJSUA's module, whose own REFERs are all outgoing: its place in the table is free.
int place() { return pjsua_var.mod.id; }

} // namespace

std::optional<ReferRequest> read_refer(const pjsip_msg *msg) {
    const auto *to = find(msg, "Refer-To", "r");
    if (!to || to->hvalue.slen == 0 || to->hvalue.slen > kLongest || find(msg, "Refer-To", "r", to->next))
        return std::nullopt;
    ReferRequest request{std::string(to->hvalue.ptr, static_cast<size_t>(to->hvalue.slen)), {}};
    const auto *by = find(msg, "Referred-By", "b");
    if (by && by->hvalue.slen <= kLongest)
        request.by.assign(by->hvalue.ptr, static_cast<size_t>(by->hvalue.slen));
    return request;
}

std::unique_ptr<ReferReport> ReferReport::accept(pjsip_dialog *dialog, pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    std::unique_ptr<ReferReport> report(new ReferReport);
    if (wants_no_reports(rdata->msg_info.msg)) {
        const pj_str_t name = pj_str(const_cast<char *>("Refer-Sub")), value = pj_str(const_cast<char *>("false"));
        pjsip_tx_data *response = nullptr;
        if (pjsip_dlg_create_response(dialog, rdata, PJSIP_SC_ACCEPTED, nullptr, &response) != PJ_SUCCESS)
            return nullptr;
        auto *header = pjsip_generic_string_hdr_create(response->pool, &name, &value);
        pjsip_msg_add_hdr(response->msg, reinterpret_cast<pjsip_hdr *>(header));
        pjsip_dlg_send_response(dialog, tsx, response);
        return report;
    }
    pjsip_evsub_user callbacks{};
    callbacks.on_evsub_state = &ReferReport::on_state;
    if (pjsip_xfer_create_uas(dialog, &callbacks, rdata, &report->subscription_) != PJ_SUCCESS)
        return nullptr;
    pjsip_evsub_set_mod_data(report->subscription_, place(), report.get());
    pjsip_xfer_accept(report->subscription_, rdata, PJSIP_SC_ACCEPTED, nullptr);
    report->tell(PJSIP_SC_TRYING, false);
    return report;
}

ReferReport::~ReferReport() {
    if (!subscription_)
        return;
    pjsip_evsub_set_mod_data(subscription_, place(), nullptr);
    pjsip_evsub_terminate(subscription_, PJ_FALSE);
}

void ReferReport::tell(int code, bool is_final) {
    if (!subscription_)
        return;
    pjsip_tx_data *notify = nullptr;
    const pjsip_evsub_state state = is_final ? PJSIP_EVSUB_STATE_TERMINATED : PJSIP_EVSUB_STATE_ACTIVE;
    if (pjsip_xfer_notify(subscription_, state, code, nullptr, &notify) == PJ_SUCCESS)
        pjsip_xfer_send_request(subscription_, notify);
}

void ReferReport::on_state(pjsip_evsub *subscription, pjsip_event *) {
    if (pjsip_evsub_get_state(subscription) != PJSIP_EVSUB_STATE_TERMINATED)
        return;
    auto *report = static_cast<ReferReport *>(pjsip_evsub_get_mod_data(subscription, place()));
    if (report)
        report->subscription_ = nullptr;
    pjsip_evsub_set_mod_data(subscription, place(), nullptr);
}

} // namespace parley
