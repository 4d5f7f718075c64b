// SPDX-License-Identifier: GPL-3.0-or-later
#include "keep_alive.hpp"

#include <string_view>
#include <unordered_set>

#include <pjsip.h>
#include <pjsua-lib/pjsua.h>

namespace parley {

namespace {

constexpr std::string_view ping = "\r\n\r\n", pong = "\r\n";

// Connections whose last pong the system has not taken yet: who pings and does not read fills no memory.
std::unordered_set<void *> busy;

void on_sent(void *transport, pjsip_tx_data *, pj_ssize_t) { busy.erase(transport); }

void on_dropped(pjsip_tp_dropped_data *dropped) {
    pjsip_transport *const transport = dropped->tp;
    if (dropped->status != PJ_EIGNORED || !(transport->flag & PJSIP_TRANSPORT_RELIABLE))
        return;
    if (std::string_view(static_cast<const char *>(dropped->data), dropped->len).substr(0, ping.size()) != ping)
        return;
    if (!busy.insert(transport).second)
        return;
    pjsip_tpselector by{};
    by.type = PJSIP_TPSELECTOR_TRANSPORT;
    by.u.transport = transport;
    const pj_status_t status =
        pjsip_tpmgr_send_raw(transport->tpmgr, static_cast<pjsip_transport_type_e>(transport->key.type), &by, nullptr,
                             pong.data(), pong.size(), &transport->key.rem_addr,
                             static_cast<int>(pj_sockaddr_get_len(&transport->key.rem_addr)), transport, &on_sent);
    if (status != PJ_EPENDING)
        busy.erase(transport);
}

} // namespace

void answer_pings() {
    busy.clear();
    pjsip_tpmgr_set_drop_data_cb(pjsip_endpt_get_tpmgr(pjsua_get_pjsip_endpt()), &on_dropped);
}

} // namespace parley
