// SPDX-License-Identifier: GPL-3.0-or-later
#include "capabilities.hpp"

#include <algorithm>
#include <array>

#include <pjsip_simple.h>

namespace parley {

namespace {

constexpr std::array kNotOurs{"MESSAGE", "SUBSCRIBE", "PUBLISH"};

bool is_ours(const pj_str_t &method) {
    return std::none_of(kNotOurs.begin(), kNotOurs.end(),
                        [&](const char *other) { return pj_stricmp2(&method, other) == 0; });
}

void refuse(pjsip_transaction *tsx, pjsip_rx_data *rdata, int code, const pjsip_hdr *header) {
    pjsip_tx_data *response = nullptr;
    if (pjsip_endpt_create_response(tsx->endpt, rdata, code, nullptr, &response) != PJ_SUCCESS)
        return;
    if (header)
        pjsip_msg_add_hdr(response->msg, static_cast<pjsip_hdr *>(pjsip_hdr_clone(response->pool, header)));
    pjsip_tsx_send_msg(tsx, response);
}

} // namespace

void trim_capabilities() {
    // PJSIP has no function to take a capability back; this is the list that every message is given a copy of.
    const pjsip_hdr *found = pjsip_endpt_get_capability(pjsua_get_pjsip_endpt(), PJSIP_H_ALLOW, nullptr);
    if (!found)
        return;
    auto *allow = reinterpret_cast<pjsip_allow_hdr *>(const_cast<pjsip_hdr *>(found));
    const auto end = std::remove_if(allow->values, allow->values + allow->count,
                                    [](const pj_str_t &method) { return !is_ours(method); });
    allow->count = static_cast<unsigned>(end - allow->values);
}

void refuse_method(pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    refuse(tsx, rdata, PJSIP_SC_METHOD_NOT_ALLOWED, pjsip_endpt_get_capability(tsx->endpt, PJSIP_H_ALLOW, nullptr));
}

void refuse_subscription(pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    const pj_str_t event = pj_str(const_cast<char *>("Event")), brief = pj_str(const_cast<char *>("o"));
    const auto *asked = static_cast<const pjsip_event_hdr *>(
        pjsip_msg_find_hdr_by_names(rdata->msg_info.msg, &event, &brief, nullptr));
    if (asked && pj_stricmp2(&asked->event_type, "refer") == 0)
        return;
    refuse(tsx, rdata, PJSIP_SC_BAD_EVENT, pjsip_evsub_get_allow_events_hdr(nullptr));
}

} // namespace parley
