// SPDX-License-Identifier: GPL-3.0-or-later
#include "connections.hpp"

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <pjsip.h>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

unsigned most_per_address = 0;
uint64_t refused = 0;
std::map<std::string, unsigned> count_of;
std::unordered_map<pjsip_transport *, std::string> address_of; // incoming ones that are counted
std::unordered_set<pjsip_transport *> ours;                     // outgoing ones

// PJSUA chains itself before this one when it creates its first transport.
void on_state(pjsip_transport *transport, pjsip_transport_state state, const pjsip_transport_state_info *) {
    if (state == PJSIP_TP_STATE_CONNECTED && transport->dir == PJSIP_TP_DIR_INCOMING &&
        (transport->flag & PJSIP_TRANSPORT_RELIABLE)) {
        char printed[PJ_INET6_ADDRSTRLEN];
        pj_sockaddr_print(&transport->key.rem_addr, printed, sizeof printed, 0);
        if (++count_of[printed] > most_per_address) {
            if (--count_of[printed] == 0)
                count_of.erase(printed);
            ++refused;
            pjsip_transport_shutdown2(transport, PJ_TRUE);
            return;
        }
        address_of[transport] = printed;
    } else if (state == PJSIP_TP_STATE_CONNECTED && transport->dir == PJSIP_TP_DIR_OUTGOING &&
               (transport->flag & PJSIP_TRANSPORT_RELIABLE)) {
        ours.insert(transport);
    } else if (state == PJSIP_TP_STATE_DESTROY) {
        ours.erase(transport);
        const auto found = address_of.find(transport);
        if (found == address_of.end())
            return;
        const auto count = count_of.find(found->second);
        if (--count->second == 0)
            count_of.erase(count);
        address_of.erase(found);
    }
}

} // namespace

void limit_connections(unsigned per_address) {
    most_per_address = per_address;
    refused = 0;
    count_of.clear();
    address_of.clear();
    ours.clear();
    pjsip_tpmgr_set_state_cb(pjsip_endpt_get_tpmgr(pjsua_get_pjsip_endpt()), &on_state);
}

uint64_t refused_connections() { return refused; }

void leave_connections() {
    const std::vector<pjsip_transport *> left(ours.begin(), ours.end()); // those without a user go at once
    for (pjsip_transport *transport : left)
        pjsip_transport_shutdown(transport);
}

int reload_tls(const std::string &address, int port, const std::string &certificate, const std::string &key,
               const std::string &authorities, bool verify_servers, bool ask_clients, unsigned handshake_ms) {
    const auto text = [](const std::string &value) {
        return pj_str_t{const_cast<char *>(value.data()), static_cast<pj_ssize_t>(value.size())};
    };
    const bool is_ipv6 = address.find(':') != std::string::npos;
    const pjsip_transport_type_e wanted = is_ipv6 ? PJSIP_TRANSPORT_TLS6 : PJSIP_TRANSPORT_TLS;
    for (auto &transport : pjsua_var.tpdata) {
        if (!transport.data.ptr || transport.type != wanted)
            continue;
        pjsip_tls_setting settings;
        pjsip_tls_setting_default(&settings);
        settings.cert_file = text(certificate);
        settings.privkey_file = text(key);
        settings.ca_list_file = text(authorities);
        settings.proto = PJ_SSL_SOCK_PROTO_TLS1_2 | PJ_SSL_SOCK_PROTO_TLS1_3;
        settings.verify_server = verify_servers;
        settings.verify_client = settings.require_client_cert = ask_clients;
        settings.timeout = {static_cast<long>(handshake_ms / 1000), static_cast<long>(handshake_ms % 1000)};
        pj_sockaddr local;
        const pj_str_t host = text(address);
        pj_status_t status = pj_sockaddr_init(is_ipv6 ? pj_AF_INET6() : pj_AF_INET(), &local, &host,
                                              static_cast<pj_uint16_t>(port));
        if (status != PJ_SUCCESS)
            return status;
        pjsip_tpfactory *factory = transport.data.factory;
        // The published name must outlive what the restart writes over it.
        const std::string name(factory->addr_name.host.ptr, static_cast<size_t>(factory->addr_name.host.slen));
        pjsip_host_port published{text(name), factory->addr_name.port};
        return pjsip_tls_transport_restart2(factory, &settings, &local, &published);
    }
    return PJ_ENOTFOUND;
}

} // namespace parley
