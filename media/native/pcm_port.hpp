// SPDX-License-Identifier: GPL-3.0-or-later
// One call's audio: PJMEDIA's stream on one side, Python on the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "call_keys.hpp"
#include "call_lines.hpp"
#include "clock.hpp"
#include "playout.hpp"
#include "spsc_ring.hpp"
#include "uplink.hpp"
#include "uplink_ring.hpp"

struct pjmedia_port;

namespace parley {

class PcmHub;

// A PJMEDIA stream as the port sees it. Its owner guarantees that it lives from attach() to detach().
struct StreamTap {
    pjmedia_port *port = nullptr;
    uint32_t rate_hz = 8000;
    uint16_t frame_samples = 160; // per channel
    uint16_t channels = 1;
    bool sends = true; // a held stream takes no frames: the playout waits instead of losing them
    bool receives = true;
    bool takes_events = false; // telephone-event was negotiated: towards the peer
    bool sends_events = false; // and from it
    // With a decoder, the stream's packets are given to receive() and its get_frame() is left alone.
    std::shared_ptr<PacketDecoder> decoder;
    uint32_t rtp_rate_hz = 8000;
    JitterPolicy policy = JitterPolicy::kBalanced;
    // Without: whether the frame just read was made up by the stream; null: never.
    bool (*concealed)(void *stream) = nullptr;
    void *stream = nullptr;
};

enum class PortEventKind : uint8_t {
    kStarted = 0,
    kFinished = 1,
    kUnderrun = 2,
    kAttached = 3,
    kDetached = 4,
    kKeyPressed = 5,
    kKeyReleased = 6,
    kAnnouncementStarted = 7,
    kAnnouncementFinished = 8,
};

struct PortEvent {
    PortEventKind kind = PortEventKind::kStarted;
    uint32_t utterance_id = 0; // kKey...: the key, plus 256 when it came as a tone
    int64_t samples = 0;       // k...Finished: heard; kAttached: the rate in Hz; kKeyReleased: milliseconds it was held
    int64_t at_ns = 0;         // CLOCK_MONOTONIC, when the frame had been handed to RTP
};

struct PortCounters {
    uint64_t frames_in = 0;
    uint64_t frames_concealed = 0;
    uint64_t frames_dropped = 0; // Python did not fetch them in time
    uint64_t frames_skipped = 0; // the clock stood still
    uint64_t frames_out = 0;
    uint64_t underruns = 0;
    uint64_t events_lost = 0;
    uint64_t samples_refused = 0; // written beyond the queue's capacity
    UplinkCounters uplink;        // all zero without a decoder
    int64_t wait_ns = 0;          // for a missing packet, as of now
};

// What one port has collected for Python since it was last asked.
struct PortBatch {
    std::vector<UplinkFrame> frames;
    std::vector<int16_t> pcm; // the frames' samples, one after another
    std::vector<PortEvent> events;

    void clear() noexcept {
        frames.clear();
        pcm.clear();
        events.clear();
    }
};

// Threads. tick(), skipped() and pulse() belong to the clock, receive...() to PJMEDIA's transport thread. attach() and
// detach() belong to the SIP thread and are never called while one of those has the port. Everything else may be called
// from any thread: `control_` makes the callers take turns, and neither clock nor transport takes it. Those two share
// the uplink under `uplink_mutex_`, for which the clock does not wait.
//
// Silence is sent when nothing is queued, so that RTP keeps flowing through NATs; wherever speech breaks off, its last
// sample is led to zero over 5 ms, so that a flush does not click.
class PcmPort final : public Ticker, public FrameSink, public std::enable_shared_from_this<PcmPort> {
  public:
    static constexpr uint32_t kPlayoutCapacity_ms = 60'000;
    static constexpr size_t kUplinkFrames = 64;

    PcmPort(PcmHub &hub, uint32_t id);

    // ---- Python
    uint32_t id() const noexcept { return id_; }
    uint32_t sampleRate() const noexcept { return rate_hz_.load(std::memory_order_relaxed); }
    uint32_t frameSamples() const noexcept { return frame_samples_.load(std::memory_order_relaxed); }
    bool attached() const noexcept { return attached_.load(std::memory_order_relaxed); }
    // Uplink frames are only kept for somebody who listens.
    void listen(bool on) noexcept { listening_.store(on, std::memory_order_relaxed); }
    // Samples at `rate_hz`; another rate than the port's (a re-INVITE just changed it) is converted on the way in.
    // Returns how many of the given samples were taken.
    size_t write(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples);
    void endUtterance(uint32_t utterance_id);
    std::vector<Heard> clear();
    std::optional<Heard> progress();
    int64_t queuedSamples() const noexcept { return playout_.queued(); }
    void pause() noexcept { paused_.store(true, std::memory_order_relaxed); }
    // Going on, the last `repeat_ms` of the utterance that was broken off are sent once more.
    void resume(unsigned repeat_ms = 0);
    void duck(double gain) noexcept;
    // A second queue over the first: from its first sample until its last utterance has ended, or is cleared, the first
    // waits. Neither what is said there nor pause() and duck() touch it; a starved announcement keeps its turn.
    size_t announce(uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples);
    void endAnnouncement(uint32_t utterance_id);
    std::vector<Heard> clearAnnouncement();
    std::optional<Heard> announcementProgress();
    int64_t announcementQueuedSamples() const noexcept;
    // Press keys (CallKeys::dial); speech waits meanwhile. As events (1) only if the peer takes them.
    bool dial(const std::string &keys, int method, unsigned on_ms, unsigned off_ms, bool secret);
    bool takesEvents() const noexcept { return takes_events_.load(std::memory_order_relaxed); }
    void detectTones(int mode) noexcept { keys_.detect_tones(static_cast<ToneDetection>(mode)); }
    void mute(bool on) noexcept { muted_.store(on, std::memory_order_relaxed); }
    // Nobody is given what the caller says: Python and lines get silence. Keys are heard all the same.
    void muteHeard(bool on) noexcept { heard_muted_.store(on, std::memory_order_relaxed); }
    // Also give what was sent, frame by frame, flagged kSent, at the position of the uplink frame of the same tick.
    void tapSent(bool on) noexcept { tap_sent_.store(on, std::memory_order_relaxed); }
    // Have `source`'s audio (LineTrack) mixed into what is sent here, or heard (LineEnd), from clock to clock without
    // Python. Again: change the gain. False: more than CallLines::kMost. By one thread at a time.
    bool mixFrom(PcmPort &source, int track, int end, double gain);
    void unmix(PcmPort &source, int track, int end);
    MixLineCounters lineCounters() const { return lines_.counters(); }
    PortCounters counters() const;

    // The hub's reader: append everything there is to `batch`.
    void drain(PortBatch &batch);

    // ---- SIP thread
    void attach(const StreamTap &tap);
    void detach();

    // ---- PJMEDIA's transport thread
    void receive(const UplinkPacket &packet) noexcept;
    void receive_noise(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, int level_dbov, int64_t now_ns) noexcept;
    void receive_event(uint32_t ssrc, uint16_t sequence, int64_t now_ns) noexcept; // in place of audio
    // What the event says (RFC 4733), or a redundant copy of it.
    void receive_key_event(uint32_t timestamp, const uint8_t *payload, size_t length, uint32_t clock_rate_hz,
                           int64_t now_ns) noexcept;
    void key_timeout(int64_t now_ns) noexcept;

    // ---- the clock's, within tick(): the event packet to be sent in place of this one; null: none
    uint8_t *send_event(const uint8_t *packet, size_t size, int payload_type, uint32_t clock_rate_hz) noexcept {
        return keys_.replace(packet, size, payload_type, clock_rate_hz);
    }

    // ---- clock
    void tick(int64_t now_ns) noexcept override;
    void skipped(unsigned frames) noexcept override;
    // For a port on the hub's waiting list. False: it waits no more.
    bool pulse(int64_t now_ns) noexcept;

    // ---- uplink, under its mutex
    void take(const UplinkFrame &frame, const int16_t *pcm) noexcept override;

  private:
    friend class PcmHub;
    static constexpr size_t kEvents = 64;
    static constexpr size_t kMarksPerFrame = 8;
    static constexpr int32_t kUnity = 1 << 15;
    enum class Voice : uint8_t { kSpeech, kNobody, kAnnouncement, kKeys }; // whose turn it was in the frame before

    void send_frame() noexcept;
    void dial_frame() noexcept;
    bool fill_announcement(int16_t *out, size_t samples, PlayoutMark *marks, size_t &mark_count,
                           size_t &filled) noexcept;
    bool is_heard() const noexcept;
    const int16_t *pass_heard(const int16_t *pcm, size_t samples) noexcept;
    void receive_frame(int64_t now_ns) noexcept;
    size_t fill(int16_t *out, size_t samples, PlayoutMark *marks, size_t &mark_count, size_t announced) noexcept;
    size_t mark_space(size_t taken) const noexcept;
    void tell(const PlayoutMark &mark, bool announcement, int64_t sent_ns) noexcept;
    void lead_under(int16_t *out, size_t samples) const noexcept;
    void apply_gain(int16_t *out, size_t samples) noexcept;
    void lead_out(int16_t *out, size_t samples) noexcept;
    size_t write_to(Playout &playout, uint32_t utterance_id, uint32_t rate_hz, const int16_t *pcm, size_t samples);
    std::vector<Heard> cut(Playout &playout);
    void tell(const PortEvent &event) noexcept;
    template <class Receive> void with_uplink(int64_t now_ns, Receive receive) noexcept;
    bool advance_uplink(int64_t now_ns) noexcept;

    PcmHub &hub_;
    const uint32_t id_;

    // Owned by the hub's list.
    std::atomic<bool> listed_{false};
    PcmPort *listed_before_ = nullptr;
    std::shared_ptr<PcmPort> keep_while_listed_;

    mutable std::mutex control_;
    std::vector<int16_t> drained_;
    std::vector<CallKeys::Heard> drained_keys_;
    uint64_t dropped_before_ = 0;   // by rings that a re-INVITE replaced
    UplinkCounters counted_before_; // likewise, by uplinks

    std::atomic<uint32_t> rate_hz_{8000};
    std::atomic<uint32_t> frame_samples_{160};
    std::atomic<bool> attached_{false};
    std::atomic<bool> listening_{false};
    std::atomic<bool> paused_{false};
    std::atomic<bool> muted_{false};
    std::atomic<bool> heard_muted_{false};
    std::atomic<bool> tap_sent_{false};
    std::atomic<bool> takes_events_{false};
    std::atomic<int32_t> duck_{kUnity};

    // The caller's frames, and those that were sent: each has a producer of its own.
    std::unique_ptr<UplinkRing> heard_;
    std::unique_ptr<UplinkRing> sent_;
    SpscRing<PortEvent> events_{kEvents};
    Playout playout_;
    std::unique_ptr<Playout> announcements_; // made with the first one, then kept
    std::atomic<Playout *> announcing_playout_{nullptr};
    CallKeys keys_;
    CallLines lines_;

    mutable std::mutex uplink_mutex_;
    int64_t waited_ns_ = 0; // by the uplink of the stream before
    std::unique_ptr<Uplink> uplink_;
    bool gave_ = false;     // the uplink has given out something for Python
    bool watched_ = false;  // on the hub's waiting list

    // The clock's.
    StreamTap tap_;
    std::vector<int16_t> frame_;
    std::vector<int16_t> mono_;
    std::vector<int16_t> silence_;
    int64_t position_ = 0;
    int64_t heard_until_ = 0; // by the uplink of the stream before
    int64_t detached_ns_ = 0;
    int32_t gain_ = kUnity;
    int16_t last_sent_ = 0;
    Voice voice_ = Voice::kSpeech;
    bool news_ = false;

    std::atomic<uint64_t> frames_in_{0}, frames_concealed_{0}, frames_skipped_{0}, frames_out_{0}, underruns_{0},
        events_lost_{0}, samples_refused_{0};
};

} // namespace parley
