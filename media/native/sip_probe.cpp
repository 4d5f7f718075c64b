// SPDX-License-Identifier: GPL-3.0-or-later
#include "sip_probe.hpp"

#include <cstdint>
#include <set>

#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

SipProbe *prober = nullptr;
// PJSIP may both call back and report an error for one request.
std::set<unsigned> under_way;

void finish(unsigned probe, int status) {
    if (under_way.erase(probe) != 0 && prober)
        prober->onProbed(probe, status);
}

void answered(void *token, pjsip_event *event) {
    if (event->type == PJSIP_EVENT_TSX_STATE)
        finish(static_cast<unsigned>(reinterpret_cast<uintptr_t>(token)), event->body.tsx_state.tsx->status_code);
}

pj_str_t pj_text(const std::string &text) {
    return {const_cast<char *>(text.data()), static_cast<pj_ssize_t>(text.size())};
}

} // namespace

SipProbe::SipProbe() { prober = this; }

SipProbe::~SipProbe() {
    if (prober == this)
        prober = nullptr;
    under_way.clear();
}

void SipProbe::send(unsigned probe, const std::string &target_uri, const std::string &from_uri) {
    const pj_str_t target = pj_text(target_uri), from = pj_text(from_uri);
    pjsip_tx_data *request = nullptr;
    under_way.insert(probe);
    pj_status_t status = pjsip_endpt_create_request(pjsua_var.endpt, pjsip_get_options_method(), &target, &from,
                                                    &target, nullptr, nullptr, -1, nullptr, &request);
    if (status == PJ_SUCCESS)
        status = pjsip_endpt_send_request(pjsua_var.endpt, request, -1,
                                          reinterpret_cast<void *>(static_cast<uintptr_t>(probe)), answered);
    if (status != PJ_SUCCESS)
        finish(probe, PJSIP_SC_SERVICE_UNAVAILABLE);
}

} // namespace parley
