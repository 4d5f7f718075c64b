// SPDX-License-Identifier: GPL-3.0-or-later
#include "sip_resolver.hpp"

#include <utility>

#include <pjsua-lib/pjsua_internal.h>

#include "name_guard.hpp"

namespace parley {

namespace {

SipResolver *installed = nullptr;

pj_str_t pj_text(const std::string &text) {
    return {const_cast<char *>(text.data()), static_cast<pj_ssize_t>(text.size())};
}

std::string text_of(const pj_str_t &text) { return {text.ptr, static_cast<size_t>(text.slen)}; }

int base_type(int type) { return type & ~PJSIP_TRANSPORT_IPV6; }

int type_of(const std::string &transport) {
    return transport == "tls" ? PJSIP_TRANSPORT_TLS : transport == "tcp" ? PJSIP_TRANSPORT_TCP : PJSIP_TRANSPORT_UDP;
}

std::string transport_name(int type) {
    switch (base_type(type)) {
    case PJSIP_TRANSPORT_UDP: return "udp";
    case PJSIP_TRANSPORT_TCP: return "tcp";
    case PJSIP_TRANSPORT_TLS: return "tls";
    default: return "";
    }
}

// One address as PJSIP wants it; false: it is a name, or there is room for no more. Port 0: the transport's usual one.
// `name` is kept by reference.
bool add(pjsip_server_addresses &all, const std::string &name, int type, const pj_str_t &address, unsigned port) {
    if (all.count >= PJSIP_MAX_RESOLVED_ADDRESSES || address.slen == 0)
        return false;
    pjsip_server_address_record &entry = all.entry[all.count];
    // pj_sockaddr_init() would ask DNS for what is no address.
    const int family = pj_strchr(&address, ':') ? pj_AF_INET6() : pj_AF_INET();
    pj_sockaddr_init(family, &entry.addr, nullptr, 0);
    if (pj_inet_pton(family, &address, pj_sockaddr_get_addr(&entry.addr)) != PJ_SUCCESS)
        return false;
    type = family == pj_AF_INET6() ? base_type(type) | PJSIP_TRANSPORT_IPV6 : base_type(type);
    entry.name = pj_text(name);
    entry.type = static_cast<pjsip_transport_type_e>(type);
    entry.priority = entry.weight = 0;
    if (port == 0)
        port = static_cast<unsigned>(pjsip_transport_get_default_port_for_type(entry.type));
    pj_sockaddr_set_port(&entry.addr, static_cast<pj_uint16_t>(port));
    entry.addr_len = static_cast<int>(pj_sockaddr_get_len(&entry.addr));
    ++all.count;
    return true;
}

} // namespace

void resolve_sip_host(pjsip_resolver_t *, pj_pool_t *, const pjsip_host_info *target, void *token,
                      pjsip_resolver_callback *answered) {
    if (installed)
        installed->resolve(*target, token, answered);
    else
        answered(PJ_ERESOLVE, token, nullptr);
}

SipResolver::SipResolver() = default;

SipResolver::~SipResolver() {
    if (installed == this)
        installed = nullptr;
}

void SipResolver::install() {
    static pjsip_ext_resolver resolver{resolve_sip_host};
    installed = this;
    open_ = true;
    know_own_name();
    refuse_names(true);
    pjsip_endpt_set_ext_resolver(pjsua_var.endpt, &resolver);
}

void SipResolver::close() {
    open_ = false;
    refuse_names(false);
    while (!queries_.empty())
        answer(queries_.begin()->first);
}

void SipResolver::steer(const std::string &transport, const std::string &address, unsigned port) {
    steered_to_.count = 0;
    steered_name_ = address;
    steered_ = !address.empty() && add(steered_to_, steered_name_, type_of(transport), pj_text(steered_name_), port);
}

void SipResolver::offer(unsigned query, const std::string &transport, const std::string &address, unsigned port) {
    const auto found = queries_.find(query);
    if (found == queries_.end())
        return;
    Query &one = found->second;
    one.names.push_back(address);
    if (!add(one.found, one.names.back(), type_of(transport), pj_text(one.names.back()), port))
        one.names.pop_back();
}

void SipResolver::answer(unsigned query) {
    auto node = queries_.extract(query);
    if (node.empty())
        return;
    Query &one = node.mapped();
    const bool found = one.found.count > 0;
    one.answered(found ? PJ_SUCCESS : PJ_ERESOLVE, one.token, found ? &one.found : nullptr);
}

void SipResolver::resolve(const pjsip_host_info &target, void *token, pjsip_resolver_callback *answered) {
    if (steered_) {
        answered(PJ_SUCCESS, token, &steered_to_);
        return;
    }
    const bool secure = (target.flag & PJSIP_TRANSPORT_SECURE) != 0;
    const int port = target.addr.port;
    int type = base_type(target.type);
    pjsip_server_addresses literal{};
    const std::string host = text_of(target.addr.host);
    const bool is_open = type == PJSIP_TRANSPORT_UNSPECIFIED;
    if (is_open)
        type = secure                                              ? PJSIP_TRANSPORT_TLS
               : (target.flag & PJSIP_TRANSPORT_RELIABLE) != 0 ? PJSIP_TRANSPORT_TCP
                                                                   : PJSIP_TRANSPORT_UDP;
    if (add(literal, host, type, target.addr.host, static_cast<unsigned>(port))) {
        answered(PJ_SUCCESS, token, &literal);
        return;
    }
    if (!open_ || queries_.size() >= kMaxQueries) {
        answered(PJ_ERESOLVE, token, nullptr);
        return;
    }
    const unsigned query = ++next_query_;
    queries_.emplace(query, Query{token, answered, {}, {}});
    onName(query, host, static_cast<unsigned>(port), is_open ? "" : transport_name(type), secure);
}

} // namespace parley
