// SPDX-License-Identifier: GPL-3.0-or-later
#include "media_call.hpp"

#include <atomic>
#include <utility>
#include <vector>

#include <pjmedia/null_port.h>
#include <pjsua-lib/pjsua_internal.h>

#include "capabilities.hpp"
#include "dialog_rules.hpp"
#include "media_gate.hpp"
#include "sdp_codecs.hpp"

namespace parley {

namespace {

std::atomic<uint32_t> next_port_id{1};

// What a session without a name is called (RFC 8866, section 5.3). PJSIP's own would tell strangers what answers them.
char no_name[] = "-";

// PJSUA's conference bridge, ticked like any other port.
class Bridge final : public Ticker {
  public:
    explicit Bridge(pjmedia_port *master)
        : master_(master), frame_(PJMEDIA_PIA_SPF(&master->info)) {}

    int64_t interval_ns() const { return int64_t{PJMEDIA_PIA_PTIME(&master_->info)} * 1'000'000; }

    void tick(int64_t) noexcept override {
        if (pjsua_get_state() != PJSUA_STATE_RUNNING)
            return; // pjsua_destroy() takes the bridge down
        pjmedia_frame frame{};
        frame.buf = frame_.data();
        frame.size = frame_.size() * sizeof(int16_t);
        master_->get_frame(master_, &frame);
    }
    void skipped(unsigned) noexcept override {}

  private:
    pjmedia_port *master_;
    std::vector<int16_t> frame_;
};

std::shared_ptr<Bridge> bridge;

const MediaGate *gate_of(int call) {
    if (call < 0 || pjsua_var.calls[call].med_cnt == 0)
        return nullptr;
    return MediaGate::of(pjsua_var.calls[call].media[0].tp);
}

} // namespace

PcmHub &pcm_hub() {
    static PcmHub *const hub = new PcmHub;
    return *hub;
}

MediaClock &media_clock() {
    static MediaClock *const clock = new MediaClock({[] { register_thread("parley-clock"); }, nullptr});
    return *clock;
}

std::shared_ptr<PcmPort> new_port() { return std::make_shared<PcmPort>(pcm_hub(), next_port_id++); }

void register_thread(const char *name) {
    thread_local pj_thread_desc desc;
    pj_thread_t *thread;
    if (!pj_thread_is_registered())
        pj_thread_register(name, desc, &thread);
}

void silence_pjlib() { pj_log_set_level(0); }

void start_media_clock() {
    if (media_clock().running())
        return;
    bridge = std::make_shared<Bridge>(pjsua_set_no_snd_dev());
    media_clock().attach(bridge, bridge->interval_ns());
    media_clock().start();
}

void stop_media_clock() {
    media_clock().stop();
    if (bridge)
        media_clock().detach(bridge.get());
    bridge.reset();
}

MediaCall::MediaCall(pj::Account &account, int call_id)
    : pj::Call(account, call_id), port_(new_port()) {}

MediaCall::~MediaCall() { release(); }

void MediaCall::onCallSdpCreated(pj::OnCallSdpCreatedParam &param) {
    // Changed in place: PJSUA2 would parse anew what a change of its text says.
    auto &session = *static_cast<pjmedia_sdp_session *>(param.sdp.pjSdpSession);
    session.name = pj_str(no_name);
    if (!codecs_.empty())
        keep_codecs(session, codecs_);
    answer_hold_by_address(param);
    pjsip_dialog *dialog = pjsua_var.calls[getId()].async_call.dlg;
    // What PJSIP refuses to send for its origin rings nowhere: a first INVITE would.
    if (adopted_ && (!dialog || !take_over(dialog, session, *adopted_)))
        session.origin.user.slen = 0;
    adopted_.reset();
}

void MediaCall::abandon() {
    const int id = getId();
    if (pjsip_inv_session *inv = id < 0 ? nullptr : pjsua_var.calls[id].inv)
        pjsip_inv_terminate(inv, PJSIP_SC_GONE, PJ_TRUE);
}

void MediaCall::onStreamCreated(pj::OnStreamCreatedParam &param) {
    if (stream_) // a second audio stream of the same call stays with the bridge
        return;
    auto *stream = static_cast<pjmedia_stream *>(param.stream);
    auto *stream_port = static_cast<pjmedia_port *>(param.pPort);
    pjmedia_stream_info info;
    const pjsua_media_config &bridge_config = pjsua_var.media_cfg;
    pjmedia_port *null_port = nullptr;
    if (stream_port->info.fmt.id != PJMEDIA_FORMAT_L16 || // a pass-through codec: nothing we could hear
        pjmedia_stream_get_info(stream, &info) != PJ_SUCCESS ||
        pjmedia_null_port_create(pjsua_var.pool, bridge_config.clock_rate, bridge_config.channel_count,
                                 bridge_config.clock_rate * bridge_config.channel_count *
                                     bridge_config.audio_frame_ptime / 1000,
                                 16, &null_port) != PJ_SUCCESS)
        return;

    // PJMEDIA frees a stream with the last reference. Ours covers the time until the clock has let go of it.
    pjmedia_port_add_ref(stream_port);
    stream_ = stream;
    stream_port_ = stream_port;
    param.pPort = null_port;
    param.destroyPort = true;
    attach(info);
}

void MediaCall::attach(const pjmedia_stream_info &info) {
    link_ = std::make_unique<StreamLink>(stream_, stream_port_, info, port_, jitter_, protection_);
}

void MediaCall::onStreamDestroyed(pj::OnStreamDestroyedParam &param) {
    if (param.stream != stream_)
        return;
    rtp_ = rtpStats(); // before PJSUA reports the end of the call
    release();
}

void MediaCall::onCallTsxState(pj::OnCallTsxStateParam &param) {
    auto *event = static_cast<pjsip_event *>(param.e.pjEvent);
    if (!event || event->type != PJSIP_EVENT_TSX_STATE)
        return;
    pjsip_transaction *tsx = event->body.tsx_state.tsx;
    const auto is = [tsx](const char *method) { return pj_stricmp2(&tsx->method.name, method) == 0; };
    if (tsx->role == PJSIP_ROLE_UAS) {
        if (tsx->state != PJSIP_TSX_STATE_TRYING || event->body.tsx_state.type != PJSIP_EVENT_RX_MSG)
            return;
        pjsip_rx_data *rdata = event->body.tsx_state.src.rdata;
        if (is("INFO"))
            receive_info(tsx, rdata);
        else if (is("MESSAGE") || is("PUBLISH") || is("REGISTER"))
            refuse_method(tsx, rdata);
        else if (is("SUBSCRIBE"))
            refuse_subscription(tsx, rdata);
        else if (is("REFER"))
            receive_refer(tsx, rdata);
        else if (is("OPTIONS"))
            answer_options(tsx, rdata);
        else if (is("CANCEL"))
            cancel_reasons_ = reasons_of(rdata->msg_info.msg);
    } else if (tsx->state == PJSIP_TSX_STATE_COMPLETED ||
               (tsx->state == PJSIP_TSX_STATE_TERMINATED &&
                event->body.tsx_state.prev_state != PJSIP_TSX_STATE_COMPLETED)) {
        if (is("INFO"))
            onInfoAnswered(tsx->status_code);
        else if (is("INVITE"))
            onReinviteAnswered(tsx->status_code);
    }
}

std::string MediaCall::reasons(const pj::SipEvent &event) const {
    const auto *of = static_cast<const pjsip_event *>(event.pjEvent);
    if (of && of->type == PJSIP_EVENT_TSX_STATE && of->body.tsx_state.type == PJSIP_EVENT_RX_MSG)
        return reasons_of(of->body.tsx_state.src.rdata->msg_info.msg);
    return cancel_reasons_;
}

void MediaCall::receive_info(pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    constexpr unsigned kLongest = 1000;
    const pjsip_msg_body *body = rdata->msg_info.msg->body;
    const auto is = [body](const char *subtype) {
        return pj_stricmp2(&body->content_type.type, "application") == 0 &&
               pj_stricmp2(&body->content_type.subtype, subtype) == 0;
    };
    int code = PJSIP_SC_UNSUPPORTED_MEDIA_TYPE; // RFC 2976 section 2.2
    if (!body || (body->len == 0 && pj_stricmp2(&body->content_type.type, "multipart") != 0)) {
        code = PJSIP_SC_OK; // a sign of life
    } else if (is("media_control+xml") || is("trickle-ice-sdpfrag")) {
        return; // PJSUA's
    } else if (is("dtmf-relay") || is("dtmf")) {
        code = body->len > kLongest ? PJSIP_SC_REQUEST_ENTITY_TOO_LARGE
                                    : onKeyInfo(is("dtmf") ? "dtmf" : "dtmf-relay",
                                                std::string(static_cast<const char *>(body->data), body->len));
    }
    pjsip_tx_data *response = nullptr;
    if (pjsip_endpt_create_response(tsx->endpt, rdata, code, nullptr, &response) == PJ_SUCCESS)
        pjsip_tsx_send_msg(tsx, response);
}

RtpStats MediaCall::rtpStats() const {
    RtpStats all = rtp_;
    if (!link_)
        return all;
    link_->count(all);
    if (const MediaGate *gate = gate_of(getId()))
        all.rx_strangers = gate->strangers(); // of the whole call
    return all;
}

bool MediaCall::isSecured(unsigned index) const {
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (pjsua_call_get_med_transport_info(getId(), index, &info) != PJ_SUCCESS)
        return false;
    const auto *srtp = static_cast<const pjmedia_srtp_info *>(
        pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_SRTP));
    return srtp && srtp->active;
}

bool MediaCall::isSilent() const {
    const int id = getId();
    if (id < 0 || id >= static_cast<int>(pjsua_var.ua_cfg.max_calls))
        return false;
    const pjsip_inv_session *inv = pjsua_var.calls[id].inv;
    return inv && inv->role == PJSIP_ROLE_UAC && inv->state == PJSIP_INV_STATE_CALLING &&
           (!inv->invite_tsx || inv->invite_tsx->status_code == 0);
}

void MediaCall::leavePort() {
    link_.reset();
    port_ = new_port();
    reattach();
}

void MediaCall::takePort(const std::shared_ptr<PcmPort> &port) {
    link_.reset();
    port_ = port;
    reattach();
}

void MediaCall::reattach() {
    pjmedia_stream_info info;
    if (stream_ && pjmedia_stream_get_info(stream_, &info) == PJ_SUCCESS)
        attach(info);
}

void MediaCall::tellReferral(int code, bool is_final) {
    if (referral_)
        referral_->tell(code, is_final);
    if (is_final)
        is_referred_ = false;
}

void MediaCall::receive_refer(pjsip_transaction *tsx, pjsip_rx_data *rdata) {
    const std::optional<ReferRequest> asked = read_refer(rdata->msg_info.msg);
    pjsip_dialog *dialog = pjsip_tsx_get_dlg(tsx);
    int code = PJSIP_SC_BAD_REQUEST;
    if (asked && dialog) {
        code = is_referred_ ? PJSIP_SC_REQUEST_PENDING : onRefer(asked->to, asked->by);
        if (code == PJSIP_SC_ACCEPTED) {
            referral_ = ReferReport::accept(dialog, tsx, rdata);
            is_referred_ = referral_ != nullptr;
            code = PJSIP_SC_INTERNAL_SERVER_ERROR;
        }
    }
    if (tsx->state != PJSIP_TSX_STATE_TRYING) // answered
        return;
    pjsip_tx_data *response = nullptr;
    if (pjsip_endpt_create_response(tsx->endpt, rdata, code, nullptr, &response) == PJ_SUCCESS)
        pjsip_tsx_send_msg(tsx, response);
}

void MediaCall::release() {
    if (!stream_)
        return;
    link_.reset();
    stream_ = nullptr;
    pjmedia_port_dec_ref(std::exchange(stream_port_, nullptr));
}

} // namespace parley
