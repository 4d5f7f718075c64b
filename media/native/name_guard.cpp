// SPDX-License-Identifier: GPL-3.0-or-later
#include "name_guard.hpp"

#include <atomic>

#include <pj/addr_resolv.h>
#include <pj/errno.h>
#include <pj/sock.h>
#include <pj/string.h>

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

} // namespace

void refuse_names(bool on) { refusing = on; }

} // namespace parley

// The linker puts this in the place of PJLIB's own (--wrap in scripts/build_pjsua2).
extern "C" {

pj_status_t __real_pj_getaddrinfo(int af, const pj_str_t *name, unsigned *count, pj_addrinfo found[]);

pj_status_t __wrap_pj_getaddrinfo(int af, const pj_str_t *name, unsigned *count, pj_addrinfo found[]) {
    if (parley::refusing && !parley::is_address(name) && pj_strcmp(name, pj_gethostname()) != 0)
        return PJ_ERESOLVE;
    return __real_pj_getaddrinfo(af, name, count, found);
}
}
