// SPDX-License-Identifier: GPL-3.0-or-later
#include "public_address.hpp"

#include <atomic>
#include <set>
#include <unordered_set>
#include <vector>

#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

std::atomic<uint32_t> address{0};
std::unordered_set<pjsip_transport *> ours; // connections, as long as they last

// PJSUA chains itself before this one when it creates its first transport.
void on_state(pjsip_transport *transport, pjsip_transport_state state, const pjsip_transport_state_info *) {
    if (state == PJSIP_TP_STATE_DESTROY)
        ours.erase(transport);
    else if (state == PJSIP_TP_STATE_CONNECTED && transport->dir == PJSIP_TP_DIR_OUTGOING &&
             (transport->flag & PJSIP_TRANSPORT_RELIABLE))
        ours.insert(transport);
}

} // namespace

void follow_connections() {
    ours.clear();
    pjsip_tpmgr_set_state_cb(pjsip_endpt_get_tpmgr(pjsua_get_pjsip_endpt()), &on_state);
}

void leave_connections() {
    const std::vector<pjsip_transport *> left(ours.begin(), ours.end()); // one without a user ends at once
    for (pjsip_transport *transport : left)
        pjsip_transport_shutdown(transport);
}

void publish_address(const std::string &host) {
    // PJSIP keeps pointers to the text, in places nobody can count.
    static auto *const texts = new std::set<std::string>;
    const std::string &text = *texts->insert(host).first;
    const pj_str_t name = pj_str(const_cast<char *>(text.c_str()));
    pj_in_addr parsed;
    if (pj_inet_pton(pj_AF_INET(), &name, &parsed) != PJ_SUCCESS)
        return;
    PJSUA_LOCK();
    for (pjsua_transport_data &listener : pjsua_var.tpdata) {
        if (!listener.data.ptr || (listener.type & PJSIP_TRANSPORT_IPV6))
            continue;
        listener.local_name.host = name;
        listener.has_cfg_addr = PJ_TRUE; // or Contacts have the interface's address
        if (listener.type == PJSIP_TRANSPORT_UDP)
            listener.data.tp->local_name.host = name;
        else
            listener.data.factory->addr_name.host = name;
    }
    PJSUA_UNLOCK();
    address = parsed.s_addr;
}

void force_contact(int account, const std::string &contact) {
    PJSUA_LOCK();
    if (pjsua_acc_is_valid(account)) {
        pjsua_acc &acc = pjsua_var.acc[account];
        pj_strdup2_with_null(acc.pool, &acc.cfg.force_contact, contact.c_str());
    }
    PJSUA_UNLOCK();
}

uint32_t published_v4() noexcept { return address; }

} // namespace parley
