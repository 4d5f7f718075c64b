// SPDX-License-Identifier: GPL-3.0-or-later
#include "name_guard.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include <pj/addr_resolv.h>
#include <pj/errno.h>
#include <pj/sock.h>
#include <pj/string.h>

extern "C" pj_status_t __real_pj_getaddrinfo(int af, const pj_str_t *name, unsigned *count, pj_addrinfo found[]);

namespace parley {

namespace {

std::atomic<bool> refusing{false};

bool is_address(const pj_str_t *text) {
    if (text->slen == 0)
        return false;
    pj_in_addr v4;
    pj_in6_addr v6;
    return pj_inet_pton(pj_AF_INET(), text, &v4) == PJ_SUCCESS || pj_inet_pton(pj_AF_INET6(), text, &v6) == PJ_SUCCESS;
}

// What this machine's name was found to be, by family. PJSUA asks before each call that it makes whether there is IPv6,
// and a name server that does not know our name may take five seconds to say so.
struct OwnAddress {
    int family;
    pj_status_t status;
    unsigned count;
    pj_addrinfo found[4];
};

std::mutex own_mutex;
std::vector<OwnAddress> own_addresses;

pj_status_t find_own(int family, const pj_str_t *name, unsigned *count, pj_addrinfo found[]) {
    const std::lock_guard lock(own_mutex);
    auto known = std::find_if(own_addresses.begin(), own_addresses.end(),
                              [family](const OwnAddress &one) { return one.family == family; });
    if (known == own_addresses.end()) {
        OwnAddress one{family, PJ_SUCCESS, PJ_ARRAY_SIZE(one.found), {}};
        one.status = __real_pj_getaddrinfo(family, name, &one.count, one.found);
        known = own_addresses.insert(own_addresses.end(), one);
    }
    if (known->status != PJ_SUCCESS)
        return known->status;
    *count = std::min(*count, known->count);
    std::copy_n(known->found, *count, found);
    return PJ_SUCCESS;
}

} // namespace

void refuse_names(bool on) { refusing = on; }

void know_own_name() {
    for (int family : {pj_AF_INET(), pj_AF_INET6()}) {
        pj_addrinfo found[4];
        unsigned count = PJ_ARRAY_SIZE(found);
        find_own(family, pj_gethostname(), &count, found);
    }
}

} // namespace parley

// The linker puts this in the place of PJLIB's own (--wrap in scripts/build_pjsua2).
extern "C" {

pj_status_t __wrap_pj_getaddrinfo(int af, const pj_str_t *name, unsigned *count, pj_addrinfo found[]) {
    if (pj_strcmp(name, pj_gethostname()) == 0)
        return parley::find_own(af, name, count, found);
    if (parley::refusing && !parley::is_address(name))
        return PJ_ERESOLVE;
    return __real_pj_getaddrinfo(af, name, count, found);
}
}
