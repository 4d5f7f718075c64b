// SPDX-License-Identifier: GPL-3.0-or-later
#include "replaces.hpp"

#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

pj_str_t text(const char *chars) { return pj_str(const_cast<char *>(chars)); }

pj_bool_t on_request(pjsip_rx_data *rdata) {
    pjsip_msg *msg = rdata->msg_info.msg;
    if (msg->line.req.method.id != PJSIP_INVITE_METHOD || rdata->msg_info.to->tag.slen > 0)
        return PJ_FALSE;
    const pj_str_t name = text("Replaces");
    for (void *found = nullptr; (found = pjsip_msg_find_hdr_by_name(msg, &name, nullptr)) != nullptr;) {
        auto *header = static_cast<pjsip_hdr *>(found);
        header->name = header->sname = text("X-Parley-Replaces");
    }
    return PJ_FALSE;
}

char name[] = "mod-parley-replaces";

pjsip_module module = {nullptr, nullptr, {name, sizeof name - 1}, -1, PJSIP_MOD_PRIORITY_APPLICATION - 1,
                       nullptr, nullptr, nullptr, nullptr, &on_request, nullptr, nullptr, nullptr, nullptr};

} // namespace

void hide_replaces() {
    module.id = -1;
    pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &module);
}

int call_of_dialog(const std::string &call_id, const std::string &our_tag, const std::string &their_tag) {
    const auto str = [](const std::string &one) {
        return pj_str_t{const_cast<char *>(one.data()), static_cast<pj_ssize_t>(one.size())};
    };
    const pj_str_t id = str(call_id), ours = str(our_tag), theirs = str(their_tag);
    const pjsip_dialog *dialog = pjsip_ua_find_dialog(&id, &ours, &theirs, PJ_FALSE);
    const auto *call = dialog ? static_cast<const pjsua_call *>(dialog->mod_data[pjsua_var.mod.id]) : nullptr;
    return call && call->inv ? call->index : -1;
}

} // namespace parley
