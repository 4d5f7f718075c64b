// SPDX-License-Identifier: GPL-3.0-or-later
#include "connections.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <pjsip.h>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

namespace parley {

namespace {

constexpr int kShedAtOnce = 256;

std::mutex mutex;
unsigned most_per_address = 0; // 0: not ours to count
uint64_t refused = 0;
std::map<std::string, unsigned> count_of;
std::unordered_map<pj_sock_t, std::string> address_of; // sockets that were accepted and are open
int spare = -1; // a descriptor to give up when there is no other
std::unordered_set<pjsip_transport *> ours; // connections we made; SIP thread

// PJSUA chains itself before this one when it creates its first transport.
void on_state(pjsip_transport *transport, pjsip_transport_state state, const pjsip_transport_state_info *) {
    if (state == PJSIP_TP_STATE_CONNECTED && transport->dir == PJSIP_TP_DIR_OUTGOING &&
        (transport->flag & PJSIP_TRANSPORT_RELIABLE))
        ours.insert(transport);
    else if (state == PJSIP_TP_STATE_DESTROY)
        ours.erase(transport);
}

// Whoever has one IPv6 address has its whole network of 64 bits.
std::string source_of(const pj_sockaddr &from) {
    pj_sockaddr masked = from;
    if (from.addr.sa_family == pj_AF_INET6())
        std::fill_n(reinterpret_cast<uint8_t *>(pj_sockaddr_get_addr(&masked)) + 8, 8, uint8_t{0});
    char printed[PJ_INET6_ADDRSTRLEN];
    return pj_sockaddr_print(&masked, printed, sizeof printed, 0);
}

bool is_let_in(pj_sock_t socket, const pj_sockaddr &from) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (most_per_address == 0)
        return true;
    const std::string source = source_of(from);
    unsigned &count = count_of[source];
    if (count >= most_per_address) {
        ++refused;
        return false;
    }
    ++count;
    address_of[socket] = source;
    return true;
}

void forget(pj_sock_t socket) {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = address_of.find(socket);
    if (found == address_of.end())
        return;
    const auto count = count_of.find(found->second);
    if (--count->second == 0)
        count_of.erase(count);
    address_of.erase(found);
}

// Without a descriptor left, the caller would knock for ever: take the connection with the spare one, and close it.
bool shed(pj_sock_t listener) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (spare < 0)
        return false;
    ::close(spare);
    const int taken = ::accept(static_cast<int>(listener), nullptr, nullptr);
    if (taken >= 0)
        ::close(taken);
    spare = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return taken >= 0;
}

} // namespace

void limit_connections(unsigned per_address) {
    const std::lock_guard<std::mutex> lock(mutex);
    most_per_address = per_address;
    refused = 0;
    count_of.clear();
    address_of.clear();
    if (spare < 0)
        spare = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ours.clear();
    pjsip_tpmgr_set_state_cb(pjsip_endpt_get_tpmgr(pjsua_get_pjsip_endpt()), &on_state);
}

uint64_t refused_connections() {
    const std::lock_guard<std::mutex> lock(mutex);
    return refused;
}

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

// The linker puts these in the place of PJLIB's own (--wrap in scripts/build_pjsua2): here a TLS connection is counted
// before its handshake, which PJSIP tells nobody of.
extern "C" {

pj_status_t __real_pj_sock_accept(pj_sock_t listener, pj_sock_t *socket, pj_sockaddr_t *from, int *length);
pj_status_t __real_pj_sock_close(pj_sock_t socket);

pj_status_t __wrap_pj_sock_accept(pj_sock_t listener, pj_sock_t *socket, pj_sockaddr_t *from, int *length) {
    constexpr pj_status_t nobody = PJ_STATUS_FROM_OS(EAGAIN);
    for (int i = 0; i < parley::kShedAtOnce; ++i) {
        pj_sockaddr source;
        int size = sizeof source;
        const pj_status_t status = __real_pj_sock_accept(listener, socket, &source, &size);
        if (status == PJ_STATUS_FROM_OS(EMFILE) || status == PJ_STATUS_FROM_OS(ENFILE)) {
            if (parley::shed(listener))
                continue;
            return nobody;
        }
        if (status != PJ_SUCCESS)
            return nobody; // whatever it was, the listener is to go on
        if (parley::is_let_in(*socket, source)) {
            if (from && length && *length >= size) {
                pj_memcpy(from, &source, static_cast<pj_size_t>(size));
                *length = size;
            }
            return PJ_SUCCESS;
        }
        __real_pj_sock_close(*socket);
        *socket = PJ_INVALID_SOCKET;
    }
    return nobody;
}

pj_status_t __wrap_pj_sock_close(pj_sock_t socket) {
    parley::forget(socket);
    return __real_pj_sock_close(socket);
}
}
