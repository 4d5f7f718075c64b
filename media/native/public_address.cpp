// SPDX-License-Identifier: GPL-3.0-or-later
#include "public_address.hpp"

#include <atomic>
#include <set>

#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

std::atomic<uint32_t> address{0};

} // namespace

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
