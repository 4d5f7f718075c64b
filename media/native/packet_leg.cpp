// SPDX-License-Identifier: GPL-3.0-or-later
#include "packet_leg.hpp"

#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <pjmedia/codec.h>
#include <pjmedia/transport.h>
#include <pjsua-lib/pjsua.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media_call.hpp"

namespace parley {

// PJMEDIA's transport interface over a socket that somebody else reads.
class PacketLeg::Transport {
  public:
    explicit Transport(int socket) : socket_(::dup(socket)) {
        std::strcpy(base_.name, "packet-leg");
        base_.type = PJMEDIA_TRANSPORT_TYPE_USER;
        base_.op = &operations;
        base_.user_data = this;
    }
    ~Transport() {
        if (socket_ >= 0)
            ::close(socket_);
    }

    pjmedia_transport *base() { return &base_; }
    bool works() const { return socket_ >= 0; }

    void receive(void *packet, size_t size) {
        if (!receiver_)
            return;
        pjmedia_tp_cb_param param{};
        param.user_data = stream_;
        param.pkt = packet;
        param.size = static_cast<pj_ssize_t>(size);
        receiver_(&param);
    }

  private:
    static Transport &of(pjmedia_transport *transport) { return *static_cast<Transport *>(transport->user_data); }

    pj_status_t send(const void *packet, size_t size) {
        // What is not taken is lost, as on any network; PJMEDIA would only log it.
        [[maybe_unused]] const ssize_t sent = ::send(socket_, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        return PJ_SUCCESS;
    }

    static pj_status_t get_info(pjmedia_transport *, pjmedia_transport_info *info) {
        info->sock_info.rtp_sock = info->sock_info.rtcp_sock = PJ_INVALID_SOCKET;
        return PJ_SUCCESS;
    }
    static pj_status_t attach2(pjmedia_transport *transport, pjmedia_transport_attach_param *param) {
        of(transport).stream_ = param->user_data;
        of(transport).receiver_ = param->rtp_cb2;
        return PJ_SUCCESS;
    }
    static void detach(pjmedia_transport *transport, void *) {
        of(transport).receiver_ = nullptr;
        of(transport).stream_ = nullptr;
    }
    static pj_status_t send_rtp(pjmedia_transport *transport, const void *packet, pj_size_t size) {
        return of(transport).send(packet, size);
    }
    static pj_status_t send_rtcp2(pjmedia_transport *transport, const pj_sockaddr_t *, unsigned, const void *packet,
                                  pj_size_t size) {
        return of(transport).send(packet, size);
    }
    static pj_status_t destroy(pjmedia_transport *) { return PJ_SUCCESS; }

    static pjmedia_transport_op make_operations() {
        pjmedia_transport_op op{};
        op.get_info = get_info;
        op.attach2 = attach2;
        op.detach = detach;
        op.send_rtp = send_rtp;
        op.send_rtcp = send_rtp;
        op.send_rtcp2 = send_rtcp2;
        op.destroy = destroy;
        return op;
    }
    static pjmedia_transport_op operations;

    pjmedia_transport base_{};
    const int socket_;
    void *stream_ = nullptr;
    void (*receiver_)(pjmedia_tp_cb_param *) = nullptr;
};

pjmedia_transport_op PacketLeg::Transport::operations = PacketLeg::Transport::make_operations();

namespace {

void require(pj_status_t status, const char *what) {
    if (status == PJ_SUCCESS)
        return;
    std::array<char, PJ_ERR_MSG_SIZE> text;
    pj_strerror(status, text.data(), text.size());
    throw std::runtime_error(std::string(what) + ": " + text.data());
}

// What SDP would have told PJMEDIA.
pjmedia_stream_info stream_info(const PacketLegFormat &format, pjmedia_codec_param &param) {
    pjmedia_codec_mgr *codecs = pjmedia_endpt_get_codec_mgr(pjsua_get_pjmedia_endpt());
    pj_str_t name = pj_str(const_cast<char *>("opus/48000/2"));
    unsigned count = 1;
    const pjmedia_codec_info *opus = nullptr;
    require(pjmedia_codec_mgr_find_codecs_by_id(codecs, &name, &count, &opus, nullptr), "Opus");
    require(pjmedia_codec_mgr_get_default_param(codecs, opus, &param), "Opus");
    pjmedia_codec_fmtp &theirs = param.setting.enc_fmtp;
    theirs.cnt = 0;
    if (format.in_band_fec)
        theirs.param[theirs.cnt++] = {pj_str(const_cast<char *>("useinbandfec")), pj_str(const_cast<char *>("1"))};
    param.setting.packet_loss = 0; // the peer's reports will tell
    param.setting.vad = 0;

    pjmedia_stream_info info{};
    info.type = PJMEDIA_TYPE_AUDIO;
    info.proto = PJMEDIA_TP_PROTO_RTP_AVP;
    info.dir = PJMEDIA_DIR_ENCODING_DECODING;
    const pj_str_t nowhere = pj_str(const_cast<char *>("127.0.0.1"));
    pj_sockaddr_init(pj_AF_INET(), &info.rem_addr, &nowhere, 9);
    info.rem_rtcp = info.rem_addr;
    info.rtcp_mux = PJ_TRUE;
    info.fmt = *opus;
    info.fmt.pt = static_cast<unsigned>(format.opus_pt);
    info.fmt.clock_rate = format.rate_hz;
    info.fmt.channel_cnt = 1;
    info.param = &param;
    info.tx_pt = info.rx_pt = static_cast<unsigned>(format.opus_pt);
    info.tx_event_pt = info.rx_event_pt = format.event_pt > 0 ? format.event_pt : 0;
    if (format.red_pt > 0) {
        info.tx_red_pt = info.rx_red_pt = static_cast<unsigned>(format.red_pt);
        info.tx_red_level = static_cast<int>(RedEncoder::kMaxGenerations);
    }
    info.ssrc = pj_rand();
    info.jb_init = info.jb_min_pre = info.jb_max_pre = info.jb_max = -1;
    return info;
}

} // namespace

PacketLeg::PacketLeg(int socket, const PacketLegFormat &format, int jitter, int protection)
    : port_(new_port()), transport_(std::make_unique<Transport>(socket)) {
    if (!transport_->works())
        throw std::runtime_error("no file descriptor is left");
    pjmedia_codec_param param;
    pjmedia_stream_info info = stream_info(format, param);
    pjmedia_endpt *endpoint = pjsua_get_pjmedia_endpt();
    pjmedia_port *stream_port = nullptr;
    require(pjmedia_stream_create(endpoint, nullptr, &info, transport_->base(), nullptr, &stream_), "stream");
    pjmedia_stream_get_port(stream_, &stream_port);
    pjmedia_stream_info settled;
    pjmedia_stream_get_info(stream_, &settled);
    link_ = std::make_unique<StreamLink>(stream_, stream_port, settled, port_, jitter,
                                         static_cast<Protection>(protection));
    pjmedia_stream_start(stream_);
}

PacketLeg::~PacketLeg() { close(); }

void PacketLeg::receive(const uint8_t *packet, size_t size) {
    std::array<uint8_t, 2048> copy; // PJMEDIA may write into what it is given
    if (size > copy.size())
        return;
    register_thread("parley-packets");
    std::memcpy(copy.data(), packet, size);
    std::lock_guard lock(gate_);
    if (stream_)
        transport_->receive(copy.data(), size);
}

RtpStats PacketLeg::rtpStats() const {
    RtpStats all = counted_;
    if (link_)
        link_->count(all);
    return all;
}

void PacketLeg::close() {
    std::lock_guard lock(gate_);
    if (!stream_)
        return;
    link_->count(counted_);
    link_.reset();
    pjmedia_stream_destroy(std::exchange(stream_, nullptr));
}

} // namespace parley
