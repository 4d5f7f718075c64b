// SPDX-License-Identifier: GPL-3.0-or-later
#include "sip_tap.hpp"

#include <algorithm>
#include <chrono>

#include <pjsip.h>
#include <pjsua-lib/pjsua.h>

namespace parley {

namespace {

constexpr size_t kMaxBytes = 4 << 20;
constexpr size_t kMaxMessage = 16 << 10;

SipCopies copies;
size_t bytes = 0;

std::string text_of(const pj_str_t &text) { return {text.ptr, static_cast<size_t>(std::max<pj_ssize_t>(0, text.slen))}; }

std::string address_of(const char *host, int port) {
    char printed[PJ_INET6_ADDRSTRLEN + 10];
    const pj_str_t name = pj_str(const_cast<char *>(host));
    return pj_addr_str_print(&name, port, printed, sizeof printed, 1);
}

std::string address_of(const pj_sockaddr &address) {
    char printed[PJ_INET6_ADDRSTRLEN + 10];
    return pj_sockaddr_print(&address, printed, sizeof printed, 3);
}

void keep(bool sent, const pjsip_transport *transport, std::string peer, const pj_str_t &call_id, const char *start,
          size_t size) {
    size = std::min(size, kMaxMessage);
    if (bytes + size > kMaxBytes) {
        ++copies.left_out;
        return;
    }
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    // Of a listener on every interface the published address, which is where the peer believes it to be.
    const std::string local = pj_sockaddr_has_addr(&transport->local_addr)
                                  ? address_of(transport->local_addr)
                                  : address_of(text_of(transport->local_name.host).c_str(), transport->local_name.port);
    copies.messages.push_back({std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count(), sent, transport->type_name,
                               local, std::move(peer), text_of(call_id), std::string(start, size)});
    bytes += size;
}

pj_bool_t on_rx(pjsip_rx_data *rdata) {
    if (rdata->msg_info.cid)
        keep(false, rdata->tp_info.transport, address_of(rdata->pkt_info.src_addr), rdata->msg_info.cid->id,
             rdata->msg_info.msg_buf, static_cast<size_t>(rdata->msg_info.len));
    return PJ_FALSE;
}

pj_status_t on_tx(pjsip_tx_data *tdata) {
    const auto *call_id = static_cast<pjsip_cid_hdr *>(pjsip_msg_find_hdr(tdata->msg, PJSIP_H_CALL_ID, nullptr));
    if (call_id)
        keep(true, tdata->tp_info.transport, address_of(tdata->tp_info.dst_name, tdata->tp_info.dst_port), call_id->id,
             tdata->buf.start, static_cast<size_t>(tdata->buf.cur - tdata->buf.start));
    return PJ_SUCCESS;
}

// Received: after what refuses strangers has had its say, and with retransmissions. Sent: when it has been printed.
pjsip_module receiving = {nullptr, nullptr, {const_cast<char *>("mod-parley-tap-rx"), 17}, -1,
                          PJSIP_MOD_PRIORITY_TSX_LAYER - 1, nullptr, nullptr, nullptr, nullptr, &on_rx, &on_rx, nullptr,
                          nullptr, nullptr};
pjsip_module sending = {nullptr, nullptr, {const_cast<char *>("mod-parley-tap-tx"), 17}, -1,
                        PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                        &on_tx, &on_tx, nullptr};

} // namespace

void start_sip_tap() {
    copies = {};
    bytes = 0;
    receiving.id = sending.id = -1;
    pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &receiving);
    pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &sending);
}

SipCopies take_sip_copies() {
    SipCopies taken;
    std::swap(taken, copies);
    bytes = 0;
    return taken;
}

} // namespace parley
