// SPDX-License-Identifier: GPL-3.0-or-later
#include "dialog_state.hpp"

#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

// Requests of the other process that we have not been told of: a session timer's, a hold's.
constexpr int32_t kCseqStep = 1000;
constexpr size_t kLongestUri = 2048;

std::string text_of(const pj_str_t &text) { return {text.ptr, static_cast<size_t>(text.slen)}; }

std::string printed(pjsip_uri_context_e context, const void *uri) {
    std::string out(kLongestUri, '\0');
    const int size = pjsip_uri_print(context, uri, out.data(), out.size());
    out.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return out;
}

pj_str_t copied(pj_pool_t *pool, const std::string &text) {
    const pj_str_t from{const_cast<char *>(text.data()), static_cast<pj_ssize_t>(text.size())};
    pj_str_t copy;
    pj_strdup_with_null(pool, &copy, &from);
    return copy;
}

} // namespace

DialogState dialog_state(int call) {
    DialogState state;
    if (call < 0 || call >= static_cast<int>(pjsua_var.ua_cfg.max_calls))
        return state;
    const pjsip_inv_session *inv = pjsua_var.calls[call].inv;
    if (!inv || inv->state != PJSIP_INV_STATE_CONFIRMED)
        return state;
    const pjsip_dialog &dialog = *inv->dlg;
    state.call_id = text_of(dialog.call_id->id);
    state.local_tag = text_of(dialog.local.info->tag);
    state.remote_tag = text_of(dialog.remote.info->tag);
    state.local_uri = printed(PJSIP_URI_IN_FROMTO_HDR, dialog.local.info->uri);
    state.remote_uri = printed(PJSIP_URI_IN_FROMTO_HDR, dialog.remote.info->uri);
    state.target = printed(PJSIP_URI_IN_REQ_URI, dialog.target);
    for (const pjsip_route_hdr *route = dialog.route_set.next; route != &dialog.route_set; route = route->next)
        state.routes.push_back(printed(PJSIP_URI_IN_ROUTING_HDR, &route->name_addr));
    state.local_cseq = dialog.local.cseq;
    state.remote_cseq = dialog.remote.cseq;
    const pjmedia_sdp_session *description = nullptr;
    if (inv->neg && pjmedia_sdp_neg_get_active_local(inv->neg, &description) == PJ_SUCCESS) {
        state.sdp_id = description->origin.id;
        state.sdp_version = description->origin.version;
    }
    return state;
}

bool take_over(pjsip_dialog *dialog, pjmedia_sdp_session &offer, const DialogState &state) {
    pj_pool_t *pool = dialog->pool;
    pjsip_route_hdr routes;
    pj_list_init(&routes);
    const pj_str_t name = pj_str(const_cast<char *>("Route"));
    for (const std::string &route : state.routes) {
        pj_str_t value = copied(pool, route);
        auto *header = static_cast<pjsip_route_hdr *>(
            pjsip_parse_hdr(pool, &name, value.ptr, static_cast<pj_size_t>(value.slen), nullptr));
        if (!header || header->type != PJSIP_H_ROUTE)
            return false;
        pj_list_push_back(&routes, header);
    }
    // The table of dialogs goes by our tag.
    if (pjsip_ua_unregister_dlg(dialog->ua, dialog) != PJ_SUCCESS)
        return false;
    dialog->call_id->id = copied(pool, state.call_id);
    dialog->local.info->tag = copied(pool, state.local_tag);
    dialog->local.tag_hval = pj_hash_calc_tolower(0, nullptr, &dialog->local.info->tag);
    dialog->remote.info->tag = copied(pool, state.remote_tag);
    dialog->local.first_cseq = dialog->local.cseq = state.local_cseq + kCseqStep;
    dialog->remote.first_cseq = dialog->remote.cseq = state.remote_cseq;
    pj_list_init(&dialog->route_set);
    pj_list_merge_last(&dialog->route_set, &routes);
    dialog->route_set_frozen = PJ_TRUE;
    if (pjsip_ua_register_dlg(dialog->ua, dialog) != PJ_SUCCESS)
        return false;
    if (state.sdp_id) {
        offer.origin.id = state.sdp_id;
        offer.origin.version = state.sdp_version + kCseqStep;
    }
    return true;
}

} // namespace parley
