// SPDX-License-Identifier: GPL-3.0-or-later
// Where SIP requests go: PJSIP's own way is getaddrinfo() on the thread that carries every call.
#pragma once

#include <deque>
#include <map>
#include <string>

#include <pjsua2.hpp>

namespace parley {

// Takes PJSIP's questions after hosts (RFC 3263). An address is answered at once; a name is handed to Python, which
// answers later. One at a time in a process; all of it on the SIP thread.
class SipResolver {
  public:
    SipResolver();
    virtual ~SipResolver();

    // From Endpoint::libInit() on, until close(). What else in PJSIP would look names up then fails (name_guard.hpp).
    void install();
    // Fail what is still asked, and everything asked from now on. Before Endpoint::libDestroy().
    void close();

    // Until the next steer(): all that is asked has this one address, or, when that is empty, its own again. For the
    // time of one makeCall(), whose INVITE is to go to one server of several. `transport` is "udp", "tcp" or "tls".
    void steer(const std::string &transport, const std::string &address, unsigned port);

    // Addresses of what onName() asked, best first; then answer(). With none the request fails with 502.
    void offer(unsigned query, const std::string &transport, const std::string &address, unsigned port);
    void answer(unsigned query);

    // For Python to override. `transport` is empty and `port` 0 where the URI leaves it open; `secure`: sips. Not more
    // than kMaxQueries are asked at a time: what comes then fails.
    virtual void onName(unsigned query, const std::string &host, unsigned port, const std::string &transport,
                        bool secure) {}

    static constexpr size_t kMaxQueries = 256;

  private:
    struct Query {
        void *token;
        pjsip_resolver_callback *answered;
        pjsip_server_addresses found;
        std::deque<std::string> names; // what `found` points into
    };
    friend void resolve_sip_host(pjsip_resolver_t *, pj_pool_t *, const pjsip_host_info *, void *,
                                 pjsip_resolver_callback *);

    void resolve(const pjsip_host_info &target, void *token, pjsip_resolver_callback *answered);

    std::map<unsigned, Query> queries_;
    unsigned next_query_ = 0;
    bool open_ = false;
    bool steered_ = false;
    pjsip_server_addresses steered_to_{};
    std::string steered_name_;
};

} // namespace parley
