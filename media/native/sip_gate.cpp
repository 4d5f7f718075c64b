// SPDX-License-Identifier: GPL-3.0-or-later
#include "sip_gate.hpp"

#include <algorithm>
#include <cstring>

#include <pjsua-lib/pjsua_internal.h>
#include <pjsua2/types.hpp>

namespace parley {

namespace {

SipGate *the_gate = nullptr; // PJSIP's callbacks carry nothing of ours

// Who takes part in a dialog, kept in the dialog's own pool.
struct Party {
    static constexpr unsigned kMost = 8;
    Address addresses[kMost];
    unsigned count = 0;
    unsigned dialled = 0; // the first of them: where our INVITE went, who may ask for our credentials
    bool redirected = false;

    bool holds(const Address &address, unsigned among) const {
        return std::find(addresses, addresses + among, address) != addresses + among;
    }
    void add(const Address &address) {
        if (count < kMost && !holds(address, count))
            addresses[count++] = address;
    }
    void add_dialled(const Address &address) {
        if (redirected || holds(address, dialled))
            return;
        if (count == kMost)
            --count; // somebody who spoke; where we dialled matters more
        if (dialled == kMost)
            return;
        addresses[count] = addresses[dialled];
        addresses[dialled++] = address;
        ++count;
    }
};

Party *party_of(pjsip_dialog *dialog, int module_id, bool make) {
    void *&slot = dialog->mod_data[module_id];
    if (!slot && make)
        slot = new (pj_pool_alloc(dialog->pool, sizeof(Party))) Party;
    return static_cast<Party *>(slot);
}

std::string text_of(const pj_str_t &text) { return {text.ptr, static_cast<size_t>(std::max<pj_ssize_t>(text.slen, 0))}; }

bool is_host(const pjsip_uri *uri, const Address &source) {
    if (!uri || (!PJSIP_URI_SCHEME_IS_SIP(uri) && !PJSIP_URI_SCHEME_IS_SIPS(uri)))
        return false;
    const auto *sip = static_cast<const pjsip_sip_uri *>(pjsip_uri_get_uri(uri));
    Address host;
    return Address::parse(sip->host, host) && host == source;
}

// What a CANCEL is for: the INVITE with the same branch (RFC 3261 section 9.2), whatever its tags say.
pjsip_dialog *cancelled(pjsip_rx_data *rdata) {
    pj_str_t key;
    pjsip_tsx_create_key(rdata->tp_info.pool, &key, PJSIP_ROLE_UAS, pjsip_get_invite_method(), rdata);
    pjsip_transaction *tsx = pjsip_tsx_layer_find_tsx2(&key, PJ_TRUE);
    if (!tsx)
        return nullptr;
    pjsip_dialog *dialog = pjsip_tsx_get_dlg(tsx);
    pj_grp_lock_dec_ref(tsx->grp_lock);
    return dialog;
}

pjsip_dialog *spoken_of(pjsip_rx_data *rdata) {
    if (rdata->msg_info.msg->line.req.method.id == PJSIP_CANCEL_METHOD)
        return cancelled(rdata);
    const pj_str_t &call_id = rdata->msg_info.cid->id;
    const pj_str_t &local_tag = rdata->msg_info.to->tag;
    if (local_tag.slen == 0)
        return nullptr;
    if (pjsip_dialog *dialog = pjsip_ua_find_dialog(&call_id, &local_tag, &rdata->msg_info.from->tag, PJ_FALSE))
        return dialog;
    // It may have overtaken the response that would have named the far end's tag.
    static const pj_str_t kNoTag{const_cast<char *>(""), 0};
    return pjsip_ua_find_dialog(&call_id, &local_tag, &kNoTag, PJ_FALSE);
}

bool source_of(const pjsip_rx_data *rdata, Address &source) { return Address::of(rdata->pkt_info.src_addr, source); }

} // namespace

bool Address::parse(const pj_str_t &text, Address &address) {
    char buffer[PJ_INET6_ADDRSTRLEN];
    pj_str_t host = text;
    if (host.slen > 2 && host.ptr[0] == '[' && host.ptr[host.slen - 1] == ']') {
        ++host.ptr;
        host.slen -= 2;
    }
    if (host.slen <= 0 || host.slen >= static_cast<pj_ssize_t>(sizeof buffer))
        return false;
    std::memcpy(buffer, host.ptr, static_cast<size_t>(host.slen));
    buffer[host.slen] = 0;
    const pj_str_t plain = pj_str(buffer);
    address = {};
    if (std::strchr(buffer, ':'))
        return pj_inet_pton(pj_AF_INET6(), &plain, address.bytes.data()) == PJ_SUCCESS;
    address.bytes[10] = address.bytes[11] = 0xFF;
    return pj_inet_pton(pj_AF_INET(), &plain, address.bytes.data() + 12) == PJ_SUCCESS;
}

bool Address::of(const pj_sockaddr &from, Address &address) {
    address = {};
    if (from.addr.sa_family == pj_AF_INET6()) {
        std::memcpy(address.bytes.data(), &from.ipv6.sin6_addr, 16);
    } else if (from.addr.sa_family == pj_AF_INET()) {
        address.bytes[10] = address.bytes[11] = 0xFF;
        std::memcpy(address.bytes.data() + 12, &from.ipv4.sin_addr, 4);
    } else {
        return false;
    }
    return true;
}

Address Address::site() const {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    Address site = *this;
    if (std::memcmp(bytes.data(), kMapped, sizeof kMapped) != 0)
        std::fill(site.bytes.begin() + 8, site.bytes.end(), uint8_t{0});
    return site;
}

size_t AddressHash::operator()(const Address &address) const noexcept {
    uint64_t high, low;
    std::memcpy(&high, address.bytes.data(), 8);
    std::memcpy(&low, address.bytes.data() + 8, 8);
    // Strangers choose their addresses: what they cannot know keeps them out of one bucket.
    static const uint64_t salt = (uint64_t{static_cast<uint32_t>(pj_rand())} << 32 | static_cast<uint32_t>(pj_rand())) ^
                                 static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    uint64_t mixed = (high ^ salt) * 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ (mixed >> 32) ^ low) * 0xBF58476D1CE4E5B9ULL;
    return static_cast<size_t>(mixed ^ (mixed >> 29));
}

std::string GateRequest::method() const { return text_of(rdata_->msg_info.msg->line.req.method.name); }
std::string GateRequest::source() const { return rdata_->pkt_info.src_name; }
int GateRequest::port() const { return rdata_->pkt_info.src_port; }
std::string GateRequest::transport() const {
    const pjsip_transport *transport = rdata_->tp_info.transport;
    if (PJSIP_TRANSPORT_IS_SECURE(transport))
        return "TLS";
    return PJSIP_TRANSPORT_IS_RELIABLE(transport) ? "TCP" : "UDP";
}
std::string GateRequest::callId() const { return text_of(rdata_->msg_info.cid->id); }

std::string GateRequest::head() const {
    const std::string whole(rdata_->msg_info.msg_buf, static_cast<size_t>(rdata_->msg_info.len));
    for (size_t at = whole.find('\n'); at != std::string::npos; at = whole.find('\n', at + 1)) {
        const size_t next = at + 1 < whole.size() && whole[at + 1] == '\r' ? at + 2 : at + 1;
        if (next < whole.size() && whole[next] == '\n')
            return whole.substr(0, at + 1);
    }
    return whole;
}

bool GateRequest::offersIpv6() const {
    const pjsip_rdata_sdp_info *found = pjsip_rdata_get_sdp_info(rdata_);
    if (!found || !found->sdp)
        return false;
    const pjmedia_sdp_session &sdp = *found->sdp;
    for (unsigned i = 0; i < sdp.media_count; ++i) {
        const pjmedia_sdp_media &media = *sdp.media[i];
        const pjmedia_sdp_conn *conn = media.conn ? media.conn : sdp.conn;
        if (media.desc.port != 0 && pj_stricmp2(&media.desc.media, "audio") == 0 && conn)
            return pj_stricmp2(&conn->addr_type, "IP6") == 0;
    }
    return false;
}

void GateRequest::answer(int code, const std::string &headers) {
    code_ = code;
    headers_ = headers;
}

SipGate::SipGate() {
    const auto init = [](pjsip_module &module, const char *name, int priority) {
        module.name = pj_str(const_cast<char *>(name));
        module.id = -1;
        module.priority = priority;
    };
    // Before PJSUA's log of messages (-1), which costs what a flood may not.
    init(door_, "mod-parley-door", PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 2);
    door_.on_rx_request = door_request;
    door_.on_rx_response = door_response;
    init(gate_, "mod-parley-gate", PJSIP_MOD_PRIORITY_TSX_LAYER + 8);
    gate_.on_rx_request = gate_request;
    gate_.on_tx_request = gate_tx_request;
    gate_.on_tx_response = gate_tx_response;
}

SipGate::~SipGate() {
    if (the_gate == this)
        the_gate = nullptr;
}

void SipGate::open() {
    pjsip_endpoint *endpoint = pjsua_get_pjsip_endpt();
    the_gate = this;
    for (pjsip_module *module : {&door_, &gate_})
        if (const pj_status_t status = pjsip_endpt_register_module(endpoint, module); status != PJ_SUCCESS)
            throw pj::Error(status, "SipGate.open()", "", __FILE__, __LINE__);
}

bool SipGate::onForeign(const std::string &, int, const std::string &) { return false; }

// Bans

void SipGate::ban(const std::string &source, double seconds) {
    Address address;
    const pj_str_t text{const_cast<char *>(source.data()), static_cast<pj_ssize_t>(source.size())};
    if (!Address::parse(text, address))
        return;
    const auto now = Clock::now();
    if (bans_.size() >= kMostBans) {
        if (now - swept_ > std::chrono::seconds(1)) {
            swept_ = now;
            for (auto at = bans_.begin(); at != bans_.end();)
                at = at->second <= now ? bans_.erase(at) : std::next(at);
        }
        if (bans_.size() >= kMostBans)
            return; // so many sources are forged ones; the limit of unknown sources holds them
    }
    bans_[address.site()] = now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void SipGate::unban(const std::string &source) {
    Address address;
    const pj_str_t text{const_cast<char *>(source.data()), static_cast<pj_ssize_t>(source.size())};
    if (Address::parse(text, address))
        bans_.erase(address.site());
}

bool SipGate::is_banned(const Address &source) {
    if (bans_.empty())
        return false;
    const auto found = bans_.find(source.site());
    if (found == bans_.end())
        return false;
    if (found->second > Clock::now())
        return true;
    bans_.erase(found);
    return false;
}

// Known networks, and how often Python is asked about others

bool SipGate::Network::holds(const Address &other) const {
    const unsigned whole = bits / 8;
    if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0)
        return false;
    const uint8_t mask = static_cast<uint8_t>(0xFF00U >> (bits % 8));
    return bits % 8 == 0 || ((address.bytes[whole] ^ other.bytes[whole]) & mask) == 0;
}

void SipGate::know(const std::string &network) {
    const size_t slash = network.find('/');
    const std::string host = network.substr(0, slash);
    const pj_str_t text{const_cast<char *>(host.data()), static_cast<pj_ssize_t>(host.size())};
    Network known{};
    if (!Address::parse(text, known.address))
        return;
    const bool is_ipv6 = host.find(':') != std::string::npos;
    const unsigned most = is_ipv6 ? 128 : 32;
    const unsigned bits = slash == std::string::npos ? most : static_cast<unsigned>(std::stoul(network.substr(slash + 1)));
    known.bits = std::min(bits, most) + (is_ipv6 ? 0 : 96);
    if (known_.size() < kMostKnown && std::find(known_.begin(), known_.end(), known) == known_.end())
        known_.push_back(known);
}

bool SipGate::is_known(const Address &source) const {
    return std::any_of(known_.begin(), known_.end(), [&](const Network &network) { return network.holds(source); });
}

void SipGate::limitUnknown(unsigned per_second) {
    per_second_ = per_second;
    tokens_ = per_second;
    filled_ = Clock::now();
}

bool SipGate::may_ask() {
    if (per_second_ == 0)
        return true;
    const auto now = Clock::now();
    tokens_ = std::min<double>(per_second_, tokens_ + std::chrono::duration<double>(now - filled_).count() * per_second_);
    filled_ = now;
    if (tokens_ < 1)
        return false;
    tokens_ -= 1;
    return true;
}

GateCounters SipGate::counters() const {
    GateCounters counters = counters_;
    counters.bans = bans_.size();
    return counters;
}

// Requests

pj_bool_t SipGate::door_request(pjsip_rx_data *rdata) {
    SipGate *gate = the_gate;
    Address source;
    if (!gate || gate->bans_.empty() || !source_of(rdata, source) || !gate->is_banned(source))
        return PJ_FALSE;
    // Whoever was banned with a call standing may end it. The gate will look whose call it is.
    if (spoken_of(rdata))
        return PJ_FALSE;
    ++gate->counters_.banned;
    pjsip_transport *transport = rdata->tp_info.transport;
    if (PJSIP_TRANSPORT_IS_RELIABLE(transport) && !transport->is_shutdown)
        pjsip_transport_shutdown(transport);
    return PJ_TRUE;
}

pj_bool_t SipGate::gate_request(pjsip_rx_data *rdata) {
    SipGate *gate = the_gate;
    if (!gate)
        return PJ_FALSE;
    const pjsip_method_e method = rdata->msg_info.msg->line.req.method.id;
    if (method == PJSIP_CANCEL_METHOD || (rdata->msg_info.to->tag.slen != 0 && method != PJSIP_REGISTER_METHOD))
        return gate->in_dialog(rdata);
    if (method == PJSIP_ACK_METHOD) // of nothing: never answered (RFC 3261 section 17)
        return PJ_TRUE;
    return gate->ask(rdata, false);
}

pj_bool_t SipGate::in_dialog(pjsip_rx_data *rdata) {
    const pjsip_method_e method = rdata->msg_info.msg->line.req.method.id;
    pjsip_dialog *dialog = spoken_of(rdata);
    if (!dialog)
        return method == PJSIP_ACK_METHOD ? PJ_TRUE : ask(rdata, true);
    Address source;
    if (source_of(rdata, source) && may_speak(dialog, source, rdata))
        return PJ_FALSE;
    ++counters_.foreign;
    return refuse(rdata);
}

bool SipGate::may_speak(pjsip_dialog *dialog, const Address &source, const pjsip_rx_data *rdata) {
    const Party *party = party_of(dialog, gate_.id, false);
    if (party && party->holds(source, party->count))
        return true;
    // A proxy that stays out of the way lets the far end speak for itself, from where its Contact says.
    if (is_host(dialog->target, source) || (dialog->remote.contact && is_host(dialog->remote.contact->uri, source)))
        return true;
    for (const pjsip_route_hdr *hop = dialog->route_set.next; hop != &dialog->route_set; hop = hop->next)
        if (is_host(reinterpret_cast<const pjsip_uri *>(&hop->name_addr), source))
            return true;
    const auto *call = static_cast<const pjsua_call *>(dialog->mod_data[pjsua_var.mod.id]);
    return onForeign(rdata->pkt_info.src_name, call ? call->acc_id : PJSUA_INVALID_ID,
                     text_of(rdata->msg_info.msg->line.req.method.name));
}

// As if there were no such call: nobody learns that there is one.
pj_bool_t SipGate::refuse(pjsip_rx_data *rdata) {
    if (rdata->msg_info.msg->line.req.method.id != PJSIP_ACK_METHOD)
        pjsip_endpt_respond_stateless(pjsua_get_pjsip_endpt(), rdata, PJSIP_SC_CALL_TSX_DOES_NOT_EXIST, nullptr,
                                      nullptr, nullptr);
    return PJ_TRUE;
}

pj_bool_t SipGate::ask(pjsip_rx_data *rdata, bool stray) {
    Address source;
    if (!source_of(rdata, source))
        return PJ_TRUE;
    if (!is_known(source) && !may_ask()) {
        ++counters_.overload;
        return PJ_TRUE;
    }
    ++counters_.asked;
    GateRequest request(rdata, stray);
    onRequest(request);
    if (request.passed())
        return PJ_FALSE;
    if (request.code() == 0)
        return PJ_TRUE;
    pjsip_hdr list;
    pj_list_init(&list);
    const std::string &headers = request.headers();
    for (size_t at = 0, end; (end = headers.find("\r\n", at)) != std::string::npos; at = end + 2) {
        const size_t colon = headers.find(": ", at);
        if (colon == std::string::npos || colon > end)
            continue;
        const pj_str_t name{const_cast<char *>(headers.data() + at), static_cast<pj_ssize_t>(colon - at)};
        const pj_str_t value{const_cast<char *>(headers.data() + colon + 2), static_cast<pj_ssize_t>(end - colon - 2)};
        auto *header = pjsip_generic_string_hdr_create(rdata->tp_info.pool, &name, &value);
        pj_list_push_back(&list, header);
    }
    if (request.code() == PJSIP_SC_METHOD_NOT_ALLOWED)
        if (const pjsip_hdr *allow = pjsip_endpt_get_capability(pjsua_get_pjsip_endpt(), PJSIP_H_ALLOW, nullptr))
            pj_list_push_back(&list, pjsip_hdr_clone(rdata->tp_info.pool, allow));
    pjsip_endpt_respond_stateless(pjsua_get_pjsip_endpt(), rdata, request.code(), nullptr, &list, nullptr);
    return PJ_TRUE;
}

// Who takes part: whom our INVITE went to, whose INVITE we answer, who answers ours

pj_status_t SipGate::gate_tx_request(pjsip_tx_data *tdata) {
    SipGate *gate = the_gate;
    pjsip_dialog *dialog = gate ? pjsip_tdata_get_dlg(tdata) : nullptr;
    if (!dialog || tdata->msg->line.req.method.id != PJSIP_INVITE_METHOD)
        return PJ_SUCCESS;
    const pjsip_to_hdr *to = PJSIP_MSG_TO_HDR(tdata->msg);
    Address address;
    if (to && to->tag.slen == 0 && Address::of(tdata->tp_info.dst_addr, address))
        party_of(dialog, gate->gate_.id, true)->add_dialled(address);
    return PJ_SUCCESS;
}

pj_status_t SipGate::gate_tx_response(pjsip_tx_data *tdata) {
    SipGate *gate = the_gate;
    if (!gate)
        return PJ_SUCCESS;
    // They name this machine and PJSIP's opinion of the message.
    static const pj_str_t kWarning{const_cast<char *>("Warning"), 7};
    while (void *warning = pjsip_msg_find_hdr_by_name(tdata->msg, &kWarning, nullptr))
        pj_list_erase(warning);
    pjsip_dialog *dialog = pjsip_tdata_get_dlg(tdata);
    if (!dialog || dialog->role != PJSIP_ROLE_UAS || party_of(dialog, gate->gate_.id, false))
        return PJ_SUCCESS;
    const auto *via = static_cast<const pjsip_via_hdr *>(pjsip_msg_find_hdr(tdata->msg, PJSIP_H_VIA, nullptr));
    Address address;
    if (via && Address::parse(via->recvd_param, address)) // PJSIP itself wrote it there
        party_of(dialog, gate->gate_.id, true)->add(address);
    return PJ_SUCCESS;
}

pj_bool_t SipGate::door_response(pjsip_rx_data *rdata) {
    SipGate *gate = the_gate;
    if (!gate)
        return PJ_FALSE;
    pjsip_status_line &line = rdata->msg_info.msg->line.status;
    const bool challenges = line.code == PJSIP_SC_UNAUTHORIZED || line.code == PJSIP_SC_PROXY_AUTHENTICATION_REQUIRED;
    const bool of_invite = rdata->msg_info.cseq->method.id == PJSIP_INVITE_METHOD;
    if (!challenges && !of_invite)
        return PJ_FALSE;
    pj_str_t key;
    pjsip_tsx_create_key(rdata->tp_info.pool, &key, PJSIP_ROLE_UAC, &rdata->msg_info.cseq->method, rdata);
    pjsip_transaction *tsx = pjsip_tsx_layer_find_tsx2(&key, PJ_TRUE);
    if (!tsx)
        return PJ_FALSE;
    pjsip_dialog *dialog = pjsip_tsx_get_dlg(tsx);
    Address source;
    if (challenges && !gate->may_challenge(tsx, dialog, rdata)) {
        // It ends what was asked, but our password answers nobody but whom we asked.
        ++gate->counters_.challenges;
        line.code = PJSIP_SC_FORBIDDEN;
        line.reason = *pjsip_get_status_text(PJSIP_SC_FORBIDDEN);
    } else if (of_invite && dialog && source_of(rdata, source)) {
        Party *party = party_of(dialog, gate->gate_.id, true);
        party->redirected |= line.code / 100 == 3;
        party->add(source);
    }
    pj_grp_lock_dec_ref(tsx->grp_lock);
    return PJ_FALSE;
}

bool SipGate::may_challenge(pjsip_transaction *tsx, pjsip_dialog *dialog, const pjsip_rx_data *rdata) {
    Address source, asked;
    if (!source_of(rdata, source))
        return false;
    const bool was_asked = tsx->addr_len != 0 && Address::of(tsx->addr, asked) && asked == source;
    if (!dialog)
        return was_asked;
    // In a call, requests go where the far end's Contact says, which is no reason to trust who is there.
    const Party *party = party_of(dialog, gate_.id, false);
    if (was_asked && party && party->holds(source, party->dialled))
        return true;
    const auto *call = static_cast<const pjsua_call *>(dialog->mod_data[pjsua_var.mod.id]);
    return onForeign(rdata->pkt_info.src_name, call ? call->acc_id : PJSUA_INVALID_ID, "401");
}

} // namespace parley
