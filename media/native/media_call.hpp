// SPDX-License-Identifier: GPL-3.0-or-later
// A pjsua2 call whose audio goes to a PcmPort instead of through PJSUA's conference bridge.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pjsua2.hpp>

#include "clock.hpp"
#include "dialog_state.hpp"
#include "hub.hpp"
#include "pcm_port.hpp"
#include "refer_report.hpp"
#include "stream_link.hpp"

namespace parley {

// The process's clock and hub. They are never destroyed: at exit no order of destruction would be safe.
MediaClock &media_clock();
PcmHub &pcm_hub();
// A leg's audio, with an id that no other has.
std::shared_ptr<PcmPort> new_port();
// From here on the calling thread may enter PJLIB, which knows it by this name.
void register_thread(const char *name);

// Start the clock, on a thread known to PJLIB, and let it also drive PJSUA's conference bridge (which must have no
// sound device): 2.17 queues adding and removing its ports, and only the bridge's clock works that queue off. To be
// called after Endpoint::libStart(), on the SIP thread.
void start_media_clock();
// To be called before Endpoint::libDestroy(). Calls that still have audio fall silent.
void stop_media_clock();

// Before Endpoint::libCreate(): what PJLIB says of itself while it starts would otherwise go to standard output.
void silence_pjlib();

// The bridge gets a null port in place of the stream's, so that the stream is decoded, encoded and converted nowhere
// but here. The port outlives the call for as long as anybody holds it; the stream does not outlive its detach().
class MediaCall : public pj::Call {
  public:
    explicit MediaCall(pj::Account &account, int call_id = PJSUA_INVALID_ID);
    ~MediaCall() override;

    std::shared_ptr<PcmPort> pcmPort() const { return port_; }
    // How what is sent is protected against loss (a `Protection`), from the next stream on.
    void protect(int protection) { protection_ = static_cast<Protection>(protection); }
    // RTCP's counts over all streams the call has had, the running one included. SIP thread.
    RtpStats rtpStats() const;

    // For streams to come: a JitterPolicy, or StreamLink::kPjmediaJitter.
    void setJitter(int policy) { jitter_ = policy; }

    // Whether our INVITE waits for a first response of any kind. SIP thread.
    bool isSilent() const;
    // Whether SRTP protects this stream now. Keys by DTLS come later than the stream.
    bool isSecured(unsigned index) const;

    // What is offered and accepted from the next description on, most wanted first, as rtpmaps have it ("PCMU/8000");
    // empty: all that PJSIP has enabled.
    void setCodecs(const std::vector<std::string> &codecs) { codecs_ = codecs; }

    // The dialog as it is, for a process that may have to go on with it; without a Call-ID before it is established.
    DialogState dialogState() const { return dialog_state(getId()); }
    // Before makeCall(): let that not begin a dialog, but go on with this one, which another process had.
    void adopt(const DialogState &state) { adopted_ = state; }
    // Another process has the dialog: be done with it, without a word to the far end. SIP thread.
    void abandon();

    void onCallSdpCreated(pj::OnCallSdpCreatedParam &param) override;
    void onStreamCreated(pj::OnStreamCreatedParam &param) override;
    void onStreamDestroyed(pj::OnStreamDestroyedParam &param) override;
    // INFO is answered here: PJSUA knows no `application/dtmf`, looks for what it wants beyond the end of the body, and
    // has a 500 for everything else, also for an INFO without a body.
    void onCallTsxState(pj::OnCallTsxStateParam &param) override;

    // Why the far end ended the call, in its own words: the Reason header fields (RFC 3326) of its CANCEL, or of the
    // message that an event of the call is about.
    std::string reasons(const pj::SipEvent &event) const;

    // For Python to override; both on the SIP thread.
    // `type` is `dtmf` or `dtmf-relay`, `body` at most 1000 bytes; the SIP status to answer with.
    virtual int onKeyInfo(const std::string &type, const std::string &body) { return 200; }
    // The final response to an INFO of ours, or 408.
    virtual void onInfoAnswered(int code) {}
    // The final response to a re-INVITE of ours.
    virtual void onReinviteAnswered(int code) {}
    // A REFER inside the call. 202 accepts it, and `tellReferral` is to follow; else the status to refuse it with.
    virtual int onRefer(const std::string &refer_to, const std::string &referred_by) { return 603; }

    // How the call that a REFER asked for fares: its status. SIP thread.
    void tellReferral(int code, bool is_final);

    // Let this call's audio be that of `port` from now on, which was another call's: whoever holds it hears and is heard
    // by our far end in place of theirs. SIP thread.
    void takePort(const std::shared_ptr<PcmPort> &port);
    // Before that, in the call whose it was: its own far end gets silence, and is not heard any more.
    void leavePort();

  private:
    void release();
    void receive_info(pjsip_transaction *tsx, pjsip_rx_data *rdata);

    void attach(const pjmedia_stream_info &info);
    void reattach();
    void receive_refer(pjsip_transaction *tsx, pjsip_rx_data *rdata);

    std::shared_ptr<PcmPort> port_;
    std::unique_ptr<ReferReport> referral_;
    bool is_referred_ = false; // a REFER was accepted, and its last word has not been said
    Protection protection_ = Protection::kOff;
    pjmedia_stream *stream_ = nullptr;
    pjmedia_port *stream_port_ = nullptr;
    std::unique_ptr<StreamLink> link_;
    RtpStats rtp_;
    std::string cancel_reasons_;
    std::optional<DialogState> adopted_; // until its first INVITE
    std::vector<std::string> codecs_;
    int jitter_ = static_cast<int>(JitterPolicy::kBalanced);
};

} // namespace parley
