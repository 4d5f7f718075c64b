/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pjproject's compile-time settings for Parley. scripts/build_pjsua2 copies
 * this file to pjlib/include/pj/config_site.h before configuring.
 */

/* Capacity. The stock values are those of a handset: 4 calls, 64 sockets. */
#define PJSUA_MAX_CALLS                     2000
#define PJSUA_MAX_ACC                       256
#define PJSUA_MAX_CONF_PORTS                2256
#define PJSUA_MAX_PLAYERS                   64
#define PJSUA_MAX_RECORDERS                 64
#define PJSIP_MAX_TSX_COUNT                 (16 * 1024 - 1)
#define PJSIP_MAX_DIALOG_COUNT              (8 * 1024 - 1)
/* Two sockets a call, plus SIP connections. With the stock 64, sixty-two idle
 * TCP connections lock every other caller out. */
#define PJ_IOQUEUE_MAX_HANDLES              8192
#define PJ_HAS_IPV6                         1
#define PJSIP_MAX_TRANSPORTS                2048
/* One thread polls each ioqueue, so nobody competes for a wake-up; with
 * EPOLLEXCLUSIVE, which cannot be modified, every packet received costs four
 * epoll_ctl() calls instead of two. */
#define PJ_IOQUEUE_DEFAULT_EPOLL_FLAGS      0
#define PJ_IOQUEUE_MAX_EVENTS_IN_SINGLE_POLL 64

/* A connection that says nothing is closed after ten seconds. */
#define PJSIP_TCP_INITIAL_TIMEOUT           10
#define PJSIP_TRANSPORT_SERVER_IDLE_TIME_FIRST 10   /* the TLS listener's name for it */
#define PJSIP_TCP_TRANSPORT_BACKLOG         128
#define PJ_SOMAXCONN                        128   /* TLS: 2.17 does not use its own name for it */
/* A listener that fifty errors in a row end for ever ends by a stranger's
 * doing; media/native/connections.cpp gives it no error. */
#define PJ_ACTIVESOCK_MAX_CONSECUTIVE_ACCEPT_ERROR 0x7FFFFFFF
#define PJSIP_MAX_PKT_LEN                   8192
/* A flood that comes while the process stands still must not push calls out of
 * the socket's buffer. The system's own limit (net.core.rmem_max) holds. */
#define PJSIP_UDP_SO_RCVBUF_SIZE            (4 << 20)

/* Offers that list several codecs and their redundancy are larger than the
 * 1,300 bytes above which PJSIP would try TCP first: a trunk that has UDP only
 * then answers half a minute later, or never. No b= lines: they say what the
 * most demanding codec takes, redundancy not counted. */
#define PJSIP_DONT_SWITCH_TO_TCP            1
#define PJMEDIA_ADD_BANDWIDTH_TIAS_IN_SDP   0

/* CVE-2026-57162: 2.17 copies up to PJMEDIA_MAX_SDP_ATTR (68) crypto
 * attributes into an array of 64 on the stack. */
#define PJMEDIA_MAX_SDP_ATTR                60

/* SRTP keys by DTLS (RFC 5763), too; by SDP (RFC 4568) is stock. */
#define PJMEDIA_SRTP_HAS_DTLS               1

/* Codecs. Opus is found by configure. */
#define PJMEDIA_HAS_L16_CODEC               1
#define PJMEDIA_CODEC_L16_HAS_8KHZ_MONO     1
#define PJMEDIA_CODEC_L16_HAS_16KHZ_MONO    1
#define PJMEDIA_CODEC_L16_HAS_8KHZ_STEREO   0
#define PJMEDIA_CODEC_L16_HAS_16KHZ_STEREO  0
#define PJMEDIA_CODEC_L16_HAS_48KHZ_MONO    0
#define PJMEDIA_CODEC_L16_HAS_48KHZ_STEREO  0

/* RFC 3611 extended reports: loss, jitter and delay as the far end saw them. */
#define PJMEDIA_HAS_RTCP_XR                 1
#define PJMEDIA_STREAM_ENABLE_XR            1

#define PJMEDIA_HAS_VIDEO                   0

/* Level 4 has every message; 5 only library internals, and costs calls. */
#define PJ_LOG_MAX_LEVEL                    4

/* In the sanitizer build assertions tell, and the code goes on as it does in
 * the release build, which has none: what a stranger sends must do no harm
 * there. PJ_ASSERT_RETURN returns all the same. */
#ifdef __SANITIZE_ADDRESS__
#   include <stdio.h>
#   define pj_assert(expr) ((expr) ? (void)0 : (void)fprintf(stderr, "Assertion `%s' failed: %s:%d\n", #expr, __FILE__, __LINE__))
#endif
