// SPDX-License-Identifier: GPL-3.0-or-later
// PJSIP's own interface file, and our classes in the same module.
%include "pjsua2.i"

%{
#define PY_SSIZE_T_CLEAN
#include "capabilities.hpp"
#include "connections.hpp"
#include "drain.hpp"
#include "keep_alive.hpp"
#include "media_call.hpp"
#include "media_gate.hpp"
#include "packet_leg.hpp"
#include "public_address.hpp"
#include "sip_gate.hpp"
#include "sip_probe.hpp"
#include "sip_resolver.hpp"
#include "replaces.hpp"
#include "sip_tap.hpp"
%}

%include <stdint.i>
%include <std_shared_ptr.i>

// Audio in: any object with the buffer protocol, read in place.
%typemap(in) (const int16_t *pcm, size_t samples) (Py_buffer view, bool held = false) {
    if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE) != 0)
        SWIG_fail;
    held = true;
    $1 = static_cast<int16_t *>(view.buf);
    $2 = static_cast<size_t>(view.len) / sizeof(int16_t);
}
%typemap(freearg) (const int16_t *pcm, size_t samples) {
    if (held$argnum)
        PyBuffer_Release(&view$argnum);
}

// Heard as (utterance_id, heard_samples, discarded_samples).
%{
static PyObject *heard_tuple(const parley::Heard &heard) {
    return Py_BuildValue("(ILL)", heard.utterance_id, static_cast<long long>(heard.heard_samples),
                         static_cast<long long>(heard.discarded_samples));
}
%}
%typemap(out) std::vector<parley::Heard> {
    const std::vector<parley::Heard> &list = $1;
    $result = PyTuple_New(static_cast<Py_ssize_t>(list.size()));
    for (size_t i = 0; $result && i < list.size(); ++i) {
        PyObject *item = heard_tuple(list[i]);
        if (!item) {
            Py_CLEAR($result);
            break;
        }
        PyTuple_SET_ITEM($result, static_cast<Py_ssize_t>(i), item);
    }
    if (!$result)
        SWIG_fail;
}
%typemap(out) std::optional<parley::Heard> {
    const std::optional<parley::Heard> &heard = $1;
    if (heard) {
        $result = heard_tuple(*heard);
    } else {
        $result = Py_None;
        Py_INCREF(Py_None);
    }
}
// Counters as a dict.
%typemap(out) parley::PortCounters {
    const parley::PortCounters &c = $1;
    const parley::UplinkCounters &u = c.uplink;
    $result = Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:d}",
        "frames_in", (unsigned long long)c.frames_in, "frames_concealed", (unsigned long long)c.frames_concealed,
        "frames_dropped", (unsigned long long)c.frames_dropped, "frames_skipped", (unsigned long long)c.frames_skipped,
        "frames_out", (unsigned long long)c.frames_out, "underruns", (unsigned long long)c.underruns,
        "events_lost", (unsigned long long)c.events_lost, "samples_refused", (unsigned long long)c.samples_refused,
        "packets_in", (unsigned long long)u.packets, "packets_late", (unsigned long long)u.late,
        "packets_recovered", (unsigned long long)u.recovered, "packets_duplicate", (unsigned long long)u.duplicates,
        "packets_reordered", (unsigned long long)u.reordered,
        "packets_undecodable", (unsigned long long)u.undecodable,
        "skew_corrections", (unsigned long long)u.skew_corrections,
        "ssrc_changes", (unsigned long long)u.ssrc_changes, "resets", (unsigned long long)u.resets,
        "wait_ms", (double)c.wait_ns / 1e6);
}
%typemap(out) parley::MixLineCounters {
    const parley::MixLineCounters &c = $1;
    $result = Py_BuildValue("{s:K,s:K,s:K,s:L}", "shortages", (unsigned long long)c.shortages, "cuts",
                            (unsigned long long)c.cuts, "dropped", (unsigned long long)c.dropped, "queued_samples",
                            (long long)c.queued_samples);
}
%typemap(out) parley::RtpStats {
    const parley::RtpStats &s = $1;
    $result = Py_BuildValue("{s:K,s:K,s:K,s:K,s:I,s:K,s:K,s:K,s:I,s:I,s:K,s:I,s:d}",
        "rx_packets", (unsigned long long)s.rx_packets, "rx_strangers", (unsigned long long)s.rx_strangers, "rx_lost", (unsigned long long)s.rx_lost,
        "rx_gaps", (unsigned long long)s.rx_gaps,
        "rx_jitter_us", s.rx_jitter_us, "tx_packets", (unsigned long long)s.tx_packets,
        "tx_reports", (unsigned long long)s.tx_reports, "tx_lost", (unsigned long long)s.tx_lost,
        "tx_jitter_us", s.tx_jitter_us, "rtt_us", s.rtt_us,
        "tx_redundant", (unsigned long long)s.tx_redundant, "tx_generations", s.tx_generations,
        "tx_reported_loss", s.tx_reported_loss);
}
%typemap(out) parley::GateCounters {
    const parley::GateCounters &c = $1;
    $result = Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K}", "asked", (unsigned long long)c.asked, "banned",
                            (unsigned long long)c.banned, "overload", (unsigned long long)c.overload, "foreign",
                            (unsigned long long)c.foreign, "challenges", (unsigned long long)c.challenges, "bans",
                            (unsigned long long)c.bans);
}
%typemap(out) parley::ClockStats {
    const parley::ClockStats &s = $1;
    PyObject *histogram = PyTuple_New((Py_ssize_t)s.late_histogram.size());
    if (!histogram)
        SWIG_fail;
    for (size_t i = 0; i < s.late_histogram.size(); ++i)
        PyTuple_SET_ITEM(histogram, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(s.late_histogram[i]));
    $result = Py_BuildValue("{s:K,s:K,s:K,s:K,s:L,s:L,s:N,s:n,s:s}",
        "bursts", (unsigned long long)s.bursts, "ticks", (unsigned long long)s.ticks,
        "late", (unsigned long long)s.late, "skipped_bursts", (unsigned long long)s.skipped_bursts,
        "max_late_us", (long long)s.max_late_us, "max_burst_us", (long long)s.max_burst_us,
        "late_histogram", histogram, "tickers", (Py_ssize_t)s.tickers, "scheduling", s.scheduling.c_str());
}

// SIP messages as tuples (at_us, sent, transport, local, peer, call_id, text), addresses as text, the message as bytes.
%typemap(out) parley::SipCopies {
    const parley::SipCopies &taken = $1;
    PyObject *list = PyTuple_New((Py_ssize_t)taken.messages.size());
    for (size_t i = 0; list && i < taken.messages.size(); ++i) {
        const parley::SipCopy &one = taken.messages[i];
        PyObject *item = Py_BuildValue(
            "(LNsssNN)", (long long)one.at_us, PyBool_FromLong(one.sent), one.transport.c_str(), one.local.c_str(),
            one.peer.c_str(),
            PyUnicode_DecodeUTF8(one.call_id.data(), (Py_ssize_t)one.call_id.size(), "backslashreplace"),
            PyBytes_FromStringAndSize(one.text.data(), (Py_ssize_t)one.text.size()));
        if (!item) {
            Py_CLEAR(list);
            break;
        }
        PyTuple_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    if (!list)
        SWIG_fail;
    $result = Py_BuildValue("(NK)", list, (unsigned long long)taken.left_out);
}

// A packet in: any object with the buffer protocol, read in place.
%typemap(in) (const uint8_t *packet, size_t size) (Py_buffer view, bool held = false) {
    if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE) != 0)
        SWIG_fail;
    held = true;
    $1 = static_cast<uint8_t *>(view.buf);
    $2 = static_cast<size_t>(view.len);
}
%typemap(freearg) (const uint8_t *packet, size_t size) {
    if (held$argnum)
        PyBuffer_Release(&view$argnum);
}

%shared_ptr(parley::PcmPort)

// Short calls keep the GIL: giving it away costs more than they do, and never is a lock held that waits for Python.
%nothread;

namespace parley {

class PcmPort {
  public:
    uint32_t id() const;
    uint32_t sampleRate() const;
    uint32_t frameSamples() const;
    bool attached() const;
    void listen(bool on);
    size_t write(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples);
    void endUtterance(uint32_t utterance_id);
    std::vector<parley::Heard> clear();
    std::optional<parley::Heard> progress();
    int64_t queuedSamples() const;
    void pause();
    void resume(unsigned repeat_ms = 0);
    void duck(double gain);
    size_t announce(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples);
    void endAnnouncement(uint32_t utterance_id);
    std::vector<parley::Heard> clearAnnouncement();
    std::optional<parley::Heard> announcementProgress();
    int64_t announcementQueuedSamples() const;
    bool dial(const std::string &keys, int method, unsigned on_ms, unsigned off_ms, bool secret);
    bool takesEvents() const;
    void detectTones(int mode);
    void mute(bool on);
    void muteHeard(bool on);
    void tapSent(bool on);
    bool mixFrom(parley::PcmPort &source, int track, int end, double gain);
    void unmix(parley::PcmPort &source, int track, int end);
    parley::MixLineCounters lineCounters() const;
    parley::PortCounters counters() const;

  private:
    PcmPort();
};

}

// The detector of call_keys.hpp for audio at hand: recordings, and the tests of what is no key.
%inline %{
namespace parley {
class DtmfReader {
  public:
    explicit DtmfReader(uint32_t rate_hz) { detector_.set_rate(rate_hz); }
    // The keys that were pressed in it.
    std::string read(const int16_t *pcm, size_t samples) {
        std::string keys;
        constexpr size_t kStep = 80; // it holds what a frame or two bring
        for (size_t at = 0; at < samples; at += kStep) {
            detector_.receive(pcm + at, std::min(kStep, samples - at), 0);
            for (KeyEvent event; detector_.next(event);)
                if (!event.released)
                    keys += "0123456789*#ABCD"[event.key];
        }
        return keys;
    }

  private:
    DtmfDetector detector_;
};
}
%}

%inline %{
namespace parley {
int pcm_hub_fd() { return pcm_hub().fd(); }
uint64_t pcm_hub_wakeups() { return pcm_hub().wakeups(); }
PyObject *pcm_hub_frame_type(PyObject *frame_type, PyObject *flags) {
    return frame_builder().configure(frame_type, flags) ? Py_NewRef(Py_None) : nullptr;
}
PyObject *pcm_hub_drain() { return drain(pcm_hub()); }
parley::ClockStats media_clock_stats() { return media_clock().stats(); }
}
%}

namespace parley {
parley::SipCopies take_sip_copies();
}

%thread;

namespace parley {

void silence_pjlib();
void install_media_gate(unsigned resting_pairs);
void remove_media_gate();
void sweep_resting_ports();
void set_media_sources(int account, const std::string &networks, bool trusted);
void start_media_clock();
void stop_media_clock();
void start_sip_tap();
void hide_replaces();
void trim_capabilities();
void publish_address(const std::string &host);
void force_contact(int account, const std::string &contact);
// media/native/dialog_state.hpp
struct DialogState {
    std::string call_id, local_tag, remote_tag, local_uri, remote_uri, target;
    std::vector<std::string> routes;
    int32_t local_cseq, remote_cseq;
    uint32_t sdp_id, sdp_version;
};

int call_of_dialog(const std::string &call_id, const std::string &our_tag, const std::string &their_tag);
void answer_pings();
void limit_connections(unsigned per_address);
void follow_connections();
void leave_connections();
uint64_t refused_connections();
int reload_tls(const std::string &address, int port, const std::string &certificate, const std::string &key,
               const std::string &authorities, bool verify_servers, bool ask_clients, unsigned handshake_ms);

%feature("director") MediaCall;
// These belong to native code: no upcall, whatever a Python subclass defines.
%feature("nodirector") MediaCall::onStreamCreated;
%feature("nodirector") MediaCall::onStreamDestroyed;
%feature("nodirector") MediaCall::onCallSdpCreated;
%feature("nodirector") MediaCall::onCallTsxState;

class MediaCall : public pj::Call {
  public:
    MediaCall(pj::Account &account, int call_id = PJSUA_INVALID_ID);
    DialogState dialogState() const;
    void adopt(const DialogState &state);
    void abandon();
    virtual ~MediaCall();
    std::shared_ptr<parley::PcmPort> pcmPort() const;
    void protect(int protection);
    parley::RtpStats rtpStats() const;
    virtual int onKeyInfo(const std::string &type, const std::string &body);
    virtual void onInfoAnswered(int code);
    virtual void onReinviteAnswered(int code);
    virtual int onRefer(const std::string &refer_to, const std::string &referred_by);
    void tellReferral(int code, bool is_final);
    void takePort(const std::shared_ptr<parley::PcmPort> &port);
    void leavePort();
    std::string reasons(const pj::SipEvent &event) const;
    void setJitter(int policy);
    bool isSilent() const;
    bool isSecured(unsigned index) const;
    void setCodecs(const std::vector<std::string> &codecs);
};

}

%feature("director") SipResolver;
%feature("director") SipProbe;

namespace parley {

class SipResolver {
  public:
    SipResolver();
    virtual ~SipResolver();
    void install();
    void close();
    void steer(const std::string &transport, const std::string &address, unsigned port);
    void offer(unsigned query, const std::string &transport, const std::string &address, unsigned port);
    void answer(unsigned query);
    virtual void onName(unsigned query, const std::string &host, unsigned port, const std::string &transport,
                        bool secure);
};

class SipProbe {
  public:
    SipProbe();
    virtual ~SipProbe();
    void send(unsigned probe, const std::string &target_uri, const std::string &from_uri);
    virtual void onProbed(unsigned probe, int status);
};

}

// Python is asked in the middle of PJSIP's callback: its request lives no longer than the question.
%nothread parley::GateRequest;
%nodefaultctor parley::GateRequest;
%feature("director") parley::SipGate;

namespace parley {

class GateRequest {
  public:
    std::string method() const;
    std::string source() const;
    int port() const;
    std::string transport() const;
    std::string callId() const;
    bool stray() const;
    bool offersIpv6() const;
    std::string head() const;
    void pass_on();
    void answer(int code, const std::string &headers);
};

class SipGate {
  public:
    SipGate();
    virtual ~SipGate();
    void open() PJSUA2_THROW(pj::Error);
    virtual void onRequest(parley::GateRequest &request);
    virtual bool onForeign(const std::string &source, int account_id, const std::string &method);
    void ban(const std::string &source, double seconds);
    void unban(const std::string &source);
    void limitUnknown(unsigned per_second);
    void know(const std::string &network);
    parley::GateCounters counters() const;
};

}

// Packets are many and their handling is short: it keeps the GIL.
%nothread parley::PacketLeg::receive;
%exception parley::PacketLeg::PacketLeg {
    try {
        $action
    } catch (const std::exception &fault) {
        SWIG_exception(SWIG_RuntimeError, fault.what());
    }
}

namespace parley {

struct PacketLegFormat {
    int opus_pt;
    int red_pt;
    int event_pt;
    uint32_t rate_hz;
    bool in_band_fec;
};

class PacketLeg {
  public:
    PacketLeg(int socket, const parley::PacketLegFormat &format, int jitter, int protection);
    ~PacketLeg();
    std::shared_ptr<parley::PcmPort> pcmPort() const;
    void receive(const uint8_t *packet, size_t size);
    parley::RtpStats rtpStats() const;
    void close();
};

}
