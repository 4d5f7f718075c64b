// SPDX-License-Identifier: GPL-3.0-or-later
// The media transport that stands between a call's stream and the network: strangers' packets end here.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include <pjmedia/transport.h>

#include "rtp_latch.hpp"

namespace parley {

// From Endpoint::libInit() on every call's media has a gate. `resting_pairs`: how many RTP and RTCP ports of calls that
// are over may rest (RestingPorts). SIP thread, as the next two.
void install_media_gate(unsigned resting_pairs);
// Before Endpoint::libDestroy(). The ports that rest are given back.
void remove_media_gate();
// Give back the ports that have rested enough; now and then, also while no call begins. SIP thread.
void sweep_resting_ports();
// Where media of this account's calls comes from: networks such as "198.51.100.0/24 2001:db8::/32", none for anywhere
// a call's signalling makes likely (RtpLatch); `trusted`: the account's calls may name any address for it.
void set_media_sources(int account, const std::string &networks, bool trusted);

// A PJMEDIA transport around another, above SRTP, whose bad packets therefore never get here. With ICE (RFC 8445) the
// pair that was nominated is the peer; otherwise a latch decides, in place of PJMEDIA's stream, which is no longer told
// where packets come from.
//
// Threads. Packets come on PJMEDIA's transport thread and go on the media clock; attach() and all else is the SIP
// thread's. The latch has a mutex, held for a few comparisons.
class MediaGate final : public pjmedia_transport {
  public:
    // Takes over `below`. `host`: where the call's signalling comes from, if known already.
    static pjmedia_transport *wrap(int call, pjmedia_transport *below, MediaSources sources,
                                   std::optional<IpAddress> host);
    // The gate, if this transport is one.
    static MediaGate *of(pjmedia_transport *transport) noexcept;

    // Packets that were not the peer's.
    uint64_t strangers() const noexcept { return strangers_.load(std::memory_order_relaxed); }

  private:
    struct Operations; // the functions of the C interface

    MediaGate(int call, pjmedia_transport *below, MediaSources sources, std::optional<IpAddress> host);

    pj_status_t attach(pjmedia_transport_attach_param *param);
    void detach();
    void receive_rtp(pjmedia_tp_cb_param *param);
    void receive_rtcp(void *packet, pj_ssize_t size);
    pj_status_t send_rtp(const void *packet, pj_size_t size);
    pj_status_t send_rtcp(const void *packet, pj_size_t size);
    pj_status_t close();

    bool is_ice_peer(const SocketAddress &from, int64_t now_ns);
    bool uses_ice();
    void count_stranger() noexcept { strangers_.fetch_add(1, std::memory_order_relaxed); }

    const int call_;
    pjmedia_transport *const below_;
    std::atomic<bool> ice_{false};

    std::mutex mutex_; // of what follows
    RtpLatch latch_;
    std::optional<IpAddress> host_;
    int family_ = 0;
    SocketAddress ice_peer_;
    int64_t ice_asked_ns_ = 0;

    std::atomic<uint64_t> strangers_{0};

    // The stream's.
    void *user_data_ = nullptr;
    void (*rtp_cb_)(void *, void *, pj_ssize_t) = nullptr;
    void (*rtp_cb2_)(pjmedia_tp_cb_param *) = nullptr;
    void (*rtcp_cb_)(void *, void *, pj_ssize_t) = nullptr;
};

} // namespace parley
