// SPDX-License-Identifier: GPL-3.0-or-later
// The gate of SIP: asks Python before PJSIP makes anything of a request, and drops what Python has banned by itself.
//
//     wire > parser > door (bans; whose 401) > transactions > gate (Python; whose BYE) > dialogs > calls
//
// The door stands before the transactions, so that a flood costs a look into a table, and no lock of Python's. The gate
// stands behind them: retransmissions never reach it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <pjsip.h>
#include <pjsua2/types.hpp>

namespace parley {

// An IP address; IPv4 as ::ffff:a.b.c.d.
struct Address {
    std::array<uint8_t, 16> bytes{};

    static bool parse(const pj_str_t &text, Address &address);
    static bool of(const pj_sockaddr &from, Address &address);
    // What is banned: the address, or the /64 of IPv6, whose owner has all of it.
    Address site() const;
    bool operator==(const Address &other) const { return bytes == other.bytes; }
};

struct AddressHash {
    size_t operator()(const Address &address) const noexcept;
};

struct GateCounters {
    uint64_t asked = 0;       // Python about a request
    uint64_t banned = 0;      // requests dropped because their source is banned
    uint64_t overload = 0;    // requests from unknown sources dropped because there were too many of them in all
    uint64_t foreign = 0;     // requests in a call of ours from somebody who is no part of it
    uint64_t challenges = 0;  // 401 and 407 from somebody other than who was asked
    uint64_t bans = 0;        // sources that are banned now
};

// A request outside any dialog of ours, or in one that is not there. It lives as long as SipGate::onRequest().
class GateRequest {
  public:
    GateRequest(pjsip_rx_data *rdata, bool stray) : rdata_(rdata), stray_(stray) {}

    std::string method() const;
    std::string source() const; // IP address
    int port() const;
    std::string transport() const; // UDP, TCP, TLS
    std::string callId() const;
    bool stray() const { return stray_; } // it names a dialog that is not there
    bool offersIpv6() const;              // its session description has audio at an IPv6 address
    std::string head() const;             // request line and headers, as on the wire

    // One of these; without them the request is dropped.
    void pass_on() { passed_ = true; }
    // `headers`: lines, each with its CRLF.
    void answer(int code, const std::string &headers);

    bool passed() const { return passed_; }
    int code() const { return code_; }
    const std::string &headers() const { return headers_; }

  private:
    pjsip_rx_data *rdata_;
    bool stray_;
    bool passed_ = false;
    int code_ = 0;
    std::string headers_;
};

// One per process, on the SIP thread alone. Policy comes from Python: onRequest() and onForeign().
class SipGate {
  public:
    static constexpr size_t kMostBans = 65536;
    static constexpr size_t kMostKnown = 4096; // networks; more are limited like any stranger's

    SipGate();
    virtual ~SipGate();
    SipGate(const SipGate &) = delete;
    SipGate &operator=(const SipGate &) = delete;

    // After libInit(), before the first transport. The gate must outlive the library.
    void open() PJSUA2_THROW(pj::Error);

    virtual void onRequest(GateRequest &) {}
    // Whether a source that has had no part in a call may speak in it: a request, or a challenge for credentials.
    virtual bool onForeign(const std::string &source, int account_id, const std::string &method);

    void ban(const std::string &source, double seconds);
    void unban(const std::string &source);
    // Requests of sources outside these networks are asked about at most so often per second.
    void limitUnknown(unsigned per_second);
    void know(const std::string &network); // 192.0.2.0/24
    GateCounters counters() const;

  private:
    using Clock = std::chrono::steady_clock;
    struct Network {
        Address address;
        unsigned bits;
        bool holds(const Address &other) const;
        bool operator==(const Network &other) const { return address == other.address && bits == other.bits; }
    };

    static pj_bool_t door_request(pjsip_rx_data *rdata);
    static pj_bool_t door_response(pjsip_rx_data *rdata);
    static pj_bool_t gate_request(pjsip_rx_data *rdata);
    static pj_status_t gate_tx_request(pjsip_tx_data *tdata);
    static pj_status_t gate_tx_response(pjsip_tx_data *tdata);

    bool is_banned(const Address &source);
    bool is_known(const Address &source) const;
    bool may_ask();
    pj_bool_t in_dialog(pjsip_rx_data *rdata);
    pj_bool_t ask(pjsip_rx_data *rdata, bool stray);
    pj_bool_t refuse(pjsip_rx_data *rdata);
    bool may_speak(pjsip_dialog *dialog, const Address &source, const pjsip_rx_data *rdata);
    bool may_challenge(pjsip_transaction *tsx, pjsip_dialog *dialog, const pjsip_rx_data *rdata);

    pjsip_module door_{};
    pjsip_module gate_{};
    std::unordered_map<Address, Clock::time_point, AddressHash> bans_;
    Clock::time_point swept_{};
    std::vector<Network> known_;
    unsigned per_second_ = 0;
    double tokens_ = 0;
    Clock::time_point filled_{};
    GateCounters counters_;
};

} // namespace parley
