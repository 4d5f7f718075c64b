// SPDX-License-Identifier: GPL-3.0-or-later
#include "media_gate.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

#include <pjmedia/transport_ice.h>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

#include "clock.hpp"
#include "public_address.hpp"
#include "resting_ports.hpp"

namespace parley {

namespace {

constexpr int64_t kIceQuestion_ns = 100'000'000;
constexpr pj_ssize_t kRtpHeader = 12;

using Create = pjmedia_transport *(*)(pjsua_call_id, unsigned, pjmedia_transport *, unsigned);

// The SIP thread's.
Create create_before = nullptr;
std::unordered_map<int, MediaSources> &sources() {
    static auto *const all = new std::unordered_map<int, MediaSources>;
    return *all;
}
std::unique_ptr<RestingPorts> &resting() {
    static auto *const ports = new std::unique_ptr<RestingPorts>;
    return *ports;
}

SocketAddress address_of(const pj_sockaddr &address) noexcept {
    SocketAddress out;
    if (address.addr.sa_family == pj_AF_INET())
        out.ip = IpAddress::v4(&address.ipv4.sin_addr);
    else if (address.addr.sa_family == pj_AF_INET6())
        out.ip = IpAddress::v6(&address.ipv6.sin6_addr);
    else
        return out;
    out.port = pj_sockaddr_get_port(&address);
    return out;
}

pj_sockaddr sockaddr_of(const SocketAddress &address, int family) noexcept {
    pj_sockaddr out;
    pj_sockaddr_init(family, &out, nullptr, address.port);
    const uint8_t *bytes = address.ip.bytes.data();
    if (family == pj_AF_INET())
        std::memcpy(&out.ipv4.sin_addr, bytes + 12, 4);
    else
        std::memcpy(&out.ipv6.sin6_addr, bytes, 16);
    return out;
}

std::optional<IpAddress> host_of(const pj_sockaddr &address) noexcept {
    if (address.addr.sa_family != pj_AF_INET() && address.addr.sa_family != pj_AF_INET6())
        return std::nullopt;
    return address_of(address).ip;
}

// Where our INVITE went. Only while its transaction stands, which it does when media begins.
std::optional<IpAddress> called_host(int call) noexcept {
    const pjsip_inv_session *inv = pjsua_var.calls[call].inv;
    const pjsip_transaction *tsx = inv ? inv->invite_tsx : nullptr;
    if (!tsx || tsx->role != PJSIP_ROLE_UAC || !tsx->last_tx)
        return std::nullopt;
    return host_of(tsx->last_tx->tp_info.dst_addr);
}

pjmedia_transport *create(pjsua_call_id call, unsigned media, pjmedia_transport *below, unsigned flags) {
    // First: pjsua2 frees the INVITE below.
    const pjsip_rx_data *invite = pjsua_var.calls[call].incoming_data;
    const std::optional<IpAddress> host = invite ? host_of(invite->pkt_info.src_addr) : std::nullopt;
    if (create_before)
        below = create_before(call, media, below, flags);
    if (!below)
        return nullptr;
    sweep_resting_ports();
    const auto found = sources().find(pjsua_var.calls[call].acc_id);
    return MediaGate::wrap(call, below, found == sources().end() ? MediaSources{} : found->second, host);
}

} // namespace

void install_media_gate(unsigned resting_pairs) {
    resting() = std::make_unique<RestingPorts>(resting_pairs);
    sources().clear();
    auto &callback = pjsua_var.ua_cfg.cb.on_create_media_transport;
    if (callback != create)
        create_before = std::exchange(callback, create);
}

void remove_media_gate() { resting().reset(); }

void sweep_resting_ports() {
    if (resting())
        resting()->sweep(monotonic_ns());
}

void set_media_sources(int account, const std::string &networks, bool trusted) {
    sources()[account] = {Networks(networks), trusted};
}

// ---- PJMEDIA's interface

struct MediaGate::Operations {
    static MediaGate *gate(pjmedia_transport *transport) { return static_cast<MediaGate *>(transport); }

    static pj_status_t get_info(pjmedia_transport *tp, pjmedia_transport_info *info) {
        const pj_status_t status = pjmedia_transport_get_info(gate(tp)->below_, info);
        if (const uint32_t published = published_v4(); published && status == PJ_SUCCESS) {
            for (pj_sockaddr *name : {&info->sock_info.rtp_addr_name, &info->sock_info.rtcp_addr_name}) {
                if (name->addr.sa_family == pj_AF_INET())
                    name->ipv4.sin_addr.s_addr = published;
            }
        }
        return status;
    }
    static void detach(pjmedia_transport *tp, void *) { gate(tp)->detach(); }
    static pj_status_t send_rtp(pjmedia_transport *tp, const void *packet, pj_size_t size) {
        return gate(tp)->send_rtp(packet, size);
    }
    static pj_status_t send_rtcp(pjmedia_transport *tp, const void *packet, pj_size_t size) {
        return gate(tp)->send_rtcp(packet, size);
    }
    static pj_status_t send_rtcp2(pjmedia_transport *tp, const pj_sockaddr_t *, unsigned, const void *packet,
                                  pj_size_t size) {
        return gate(tp)->send_rtcp(packet, size);
    }
    static pj_status_t media_create(pjmedia_transport *tp, pj_pool_t *pool, unsigned options,
                                    const pjmedia_sdp_session *remote, unsigned index) {
        return pjmedia_transport_media_create(gate(tp)->below_, pool, options, remote, index);
    }
    static pj_status_t encode_sdp(pjmedia_transport *tp, pj_pool_t *pool, pjmedia_sdp_session *local,
                                  const pjmedia_sdp_session *remote, unsigned index) {
        return pjmedia_transport_encode_sdp(gate(tp)->below_, pool, local, remote, index);
    }
    static pj_status_t media_start(pjmedia_transport *tp, pj_pool_t *pool, const pjmedia_sdp_session *local,
                                   const pjmedia_sdp_session *remote, unsigned index) {
        return pjmedia_transport_media_start(gate(tp)->below_, pool, local, remote, index);
    }
    static pj_status_t media_stop(pjmedia_transport *tp) { return pjmedia_transport_media_stop(gate(tp)->below_); }
    static pj_status_t simulate_lost(pjmedia_transport *tp, pjmedia_dir direction, unsigned percent) {
        return pjmedia_transport_simulate_lost(gate(tp)->below_, direction, percent);
    }
    static pj_status_t destroy(pjmedia_transport *tp) { return gate(tp)->close(); }
    static pj_status_t attach2(pjmedia_transport *tp, pjmedia_transport_attach_param *param) {
        return gate(tp)->attach(param);
    }
    static void on_rtp(pjmedia_tp_cb_param *param) {
        if (param->user_data)
            static_cast<MediaGate *>(param->user_data)->receive_rtp(param);
    }
    static void on_rtcp(void *self, void *packet, pj_ssize_t size) {
        if (self)
            static_cast<MediaGate *>(self)->receive_rtcp(packet, size);
    }
    // With the last reference to the transports below, whose lock we share.
    static void free(void *self) { delete static_cast<MediaGate *>(self); }

    static pjmedia_transport_op *table() {
        static pjmedia_transport_op operations = {
            get_info,     nullptr,    detach,      send_rtp,   send_rtcp,     send_rtcp2, media_create,
            encode_sdp,   media_start, media_stop, simulate_lost, destroy,    attach2,
        };
        return &operations;
    }
};

// ---- the gate

MediaGate::MediaGate(int call, pjmedia_transport *below, MediaSources sources, std::optional<IpAddress> host)
    : pjmedia_transport{}, call_(call), below_(below), latch_(std::move(sources)), host_(std::move(host)) {
    pj_memcpy(name, below->name, sizeof(name));
    type = below->type;
    op = Operations::table();
    user_data = below->user_data;
    grp_lock = below->grp_lock;
}

pjmedia_transport *MediaGate::wrap(int call, pjmedia_transport *below, MediaSources sources,
                                   std::optional<IpAddress> host) {
    if (!below->grp_lock)
        return below; // none of PJSIP's: nothing says when packets have ceased to come
    auto *gate = new MediaGate(call, below, std::move(sources), std::move(host));
    pj_grp_lock_add_ref(gate->grp_lock);
    pj_grp_lock_add_handler(gate->grp_lock, nullptr, gate, Operations::free);
    return gate;
}

MediaGate *MediaGate::of(pjmedia_transport *transport) noexcept {
    return transport && transport->op == Operations::table() ? static_cast<MediaGate *>(transport) : nullptr;
}

pj_status_t MediaGate::attach(pjmedia_transport_attach_param *param) {
    ice_ = uses_ice(); // without the mutex: ICE has a lock of its own, and calls receive_rtp() with it held
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!host_)
            host_ = called_host(call_);
        family_ = param->rem_addr.addr.sa_family;
        latch_.negotiated(address_of(param->rem_addr), address_of(param->rem_rtcp), host_);
        user_data_ = param->user_data;
        rtp_cb_ = param->rtp_cb;
        rtp_cb2_ = param->rtp_cb2;
        rtcp_cb_ = param->rtcp_cb;
    }
    pjmedia_transport_attach_param ours = *param;
    ours.user_data = this;
    ours.rtp_cb = nullptr;
    ours.rtp_cb2 = Operations::on_rtp;
    ours.rtcp_cb = Operations::on_rtcp;
    return pjmedia_transport_attach2(below_, &ours);
}

void MediaGate::detach() {
    pjmedia_transport_detach(below_, this);
    const std::lock_guard<std::mutex> lock(mutex_);
    user_data_ = nullptr;
    rtp_cb_ = nullptr;
    rtp_cb2_ = nullptr;
    rtcp_cb_ = nullptr;
}

void MediaGate::receive_rtp(pjmedia_tp_cb_param *param) {
    pjmedia_tp_cb_param theirs = *param;
    decltype(rtp_cb_) callback;
    decltype(rtp_cb2_) callback2;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        callback = rtp_cb_;
        callback2 = rtp_cb2_;
        theirs.user_data = user_data_;
        if (param->size >= 0 && param->src_addr) { // else an error, which is the stream's to hear of
            // Neither RTP nor RTCP (RFC 3550 section 5.1): STUN, keep-alives, noise.
            if (param->size < kRtpHeader || (*static_cast<const uint8_t *>(param->pkt) & 0xC0) != 0x80)
                return;
            const SocketAddress from = address_of(*param->src_addr);
            const int64_t now_ns = monotonic_ns();
            if (ice_) {
                if (!is_ice_peer(from, now_ns))
                    return count_stranger();
            } else {
                const RtpLatch::Verdict verdict = latch_.receive_rtp(from, now_ns);
                if (verdict == RtpLatch::Verdict::kDrop)
                    return count_stranger();
                param->rem_switch = verdict == RtpLatch::Verdict::kSwitch;
            }
        }
    }
    theirs.src_addr = nullptr; // PJMEDIA's stream need not guess whose it is
    if (callback2)
        callback2(&theirs);
    else if (callback)
        callback(theirs.user_data, theirs.pkt, theirs.size);
}

void MediaGate::receive_rtcp(void *packet, pj_ssize_t size) {
    decltype(rtcp_cb_) callback;
    void *whose;
    if (size >= 0) {
        pjmedia_transport_info info;
        pjmedia_transport_info_init(&info);
        const bool known = !ice_ && pjmedia_transport_get_info(below_, &info) == PJ_SUCCESS;
        const std::lock_guard<std::mutex> lock(mutex_);
        if (known && !latch_.receive_rtcp(address_of(info.src_rtcp_name)))
            return count_stranger();
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        callback = rtcp_cb_;
        whose = user_data_;
    }
    if (callback)
        callback(whose, packet, size);
}

pj_status_t MediaGate::send_rtp(const void *packet, pj_size_t size) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!ice_ && !latch_.send_rtp())
            return PJ_SUCCESS;
    }
    return pjmedia_transport_send_rtp(below_, packet, size);
}

// Always with its address: the transport below would send to whoever last sent it three packets.
pj_status_t MediaGate::send_rtcp(const void *packet, pj_size_t size) {
    if (ice_)
        return pjmedia_transport_send_rtcp(below_, packet, size);
    pj_sockaddr to;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::optional<SocketAddress> target = latch_.send_rtcp();
        if (!target || target->port == 0)
            return PJ_SUCCESS;
        to = sockaddr_of(*target, family_);
    }
    return pjmedia_transport_send_rtcp2(below_, &to, pj_sockaddr_get_len(&to), packet, size);
}

pj_status_t MediaGate::close() {
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (!uses_ice() && resting() && pjmedia_transport_get_info(below_, &info) == PJ_SUCCESS &&
        info.sock_info.rtp_sock != PJ_INVALID_SOCKET && info.sock_info.rtcp_sock != PJ_INVALID_SOCKET)
        resting()->receive(static_cast<int>(info.sock_info.rtp_sock), static_cast<int>(info.sock_info.rtcp_sock),
                           monotonic_ns());
    pj_grp_lock_t *const lock = grp_lock;
    const pj_status_t status = pjmedia_transport_close(below_);
    pj_grp_lock_dec_ref(lock); // this may be gone now
    return status;
}

bool MediaGate::uses_ice() {
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(below_, &info) != PJ_SUCCESS)
        return false;
    const auto *ice = static_cast<const pjmedia_ice_transport_info *>(
        pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_ICE));
    return ice && ice->active;
}

bool MediaGate::is_ice_peer(const SocketAddress &from, int64_t now_ns) {
    if (from == ice_peer_)
        return true;
    if (ice_asked_ns_ != 0 && now_ns - ice_asked_ns_ < kIceQuestion_ns)
        return false;
    ice_asked_ns_ = now_ns;
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(below_, &info) != PJ_SUCCESS)
        return false;
    const auto *ice = static_cast<const pjmedia_ice_transport_info *>(
        pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_ICE));
    if (!ice || ice->sess_state != PJ_ICE_STRANS_STATE_RUNNING || ice->comp_cnt == 0)
        return false;
    ice_peer_ = address_of(ice->comp[0].rcand_addr);
    return from == ice_peer_;
}

} // namespace parley
