// SPDX-License-Identifier: GPL-3.0-or-later
#include "dialog_rules.hpp"

#include <algorithm>

#include <pjmedia/sdp.h>
#include <pjsip.h>

namespace parley {

namespace {

constexpr size_t kLongestReason = 512;

bool is_held_by_address(const pjmedia_sdp_session &offer, unsigned index) {
    const pjmedia_sdp_conn *conn = offer.media[index]->conn ? offer.media[index]->conn : offer.conn;
    return conn && pj_strcmp2(&conn->addr, "0.0.0.0") == 0;
}

} // namespace

void answer_hold_by_address(pj::OnCallSdpCreatedParam &param) {
    if (param.remSdp.wholeSdp.empty()) // we offer; PJSUA2 then leaves the pointer unset
        return;
    auto *answer = static_cast<pjmedia_sdp_session *>(param.sdp.pjSdpSession);
    const auto *offer = static_cast<const pjmedia_sdp_session *>(param.remSdp.pjSdpSession);
    for (unsigned i = 0; i < std::min(answer->media_count, offer->media_count); ++i) {
        pjmedia_sdp_media *media = answer->media[i];
        if (media->desc.port == 0 || !is_held_by_address(*offer, i))
            continue;
        for (pjmedia_sdp_attr *attr : {pjmedia_sdp_media_find_attr2(media, "sendrecv", nullptr),
                                       pjmedia_sdp_media_find_attr2(media, "sendonly", nullptr)}) {
            if (attr) // names of literals live as long as we do
                attr->name = pj_str(const_cast<char *>(attr->name.slen == 8 && attr->name.ptr[4] == 'r' ? "recvonly"
                                                                                                       : "inactive"));
        }
    }
}

void answer_options(pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    pjsip_tx_data *response = nullptr;
    if (pjsip_endpt_create_response(tsx->endpt, rdata, PJSIP_SC_OK, nullptr, &response) != PJ_SUCCESS)
        return;
    for (int name : {PJSIP_H_ACCEPT, PJSIP_H_ALLOW, PJSIP_H_SUPPORTED}) {
        if (const pjsip_hdr *known = pjsip_endpt_get_capability(tsx->endpt, name, nullptr))
            pjsip_msg_add_hdr(response->msg, static_cast<pjsip_hdr *>(pjsip_hdr_clone(response->pool, known)));
    }
    pjsip_tsx_send_msg(tsx, response);
}

std::string reasons_of(const pjsip_msg *msg) {
    const pj_str_t name = pj_str(const_cast<char *>("Reason"));
    std::string all;
    const void *after = nullptr;
    while (auto *found = static_cast<const pjsip_generic_string_hdr *>(
               pjsip_msg_find_hdr_by_name(msg, &name, after))) {
        if (all.size() + static_cast<size_t>(found->hvalue.slen) + 1 > kLongestReason)
            break;
        all += (all.empty() ? "" : ",") + std::string(found->hvalue.ptr, static_cast<size_t>(found->hvalue.slen));
        after = found->next;
        if (after == &msg->hdr)
            break;
    }
    return all;
}

} // namespace parley
