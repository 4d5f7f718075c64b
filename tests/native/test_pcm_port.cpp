// SPDX-License-Identifier: GPL-3.0-or-later
#include "pcm_port.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <poll.h>

#include <pjmedia/port.h>

#include "check.hpp"
#include "hub.hpp"
#include "uplink_peer.hpp"

using namespace std::chrono_literals;
using parley::MediaClock;
using parley::PcmHub;
using parley::PcmPort;
using parley::PortBatch;
using parley::PortEventKind;
using parley::StreamTap;

namespace {

// A PJMEDIA stream without PJMEDIA: hears a ramp, remembers what it was given.
struct FakeStream {
    pjmedia_port port{};
    std::vector<int16_t> sent;
    int16_t next = 0;
    bool silent = false;    // nothing has arrived
    bool concealed = false; // something was made up

    FakeStream() {
        port.port_data.pdata = this;
        port.get_frame = [](pjmedia_port *self, pjmedia_frame *frame) -> pj_status_t {
            auto *stream = static_cast<FakeStream *>(self->port_data.pdata);
            if (stream->silent) {
                frame->type = PJMEDIA_FRAME_TYPE_NONE;
                frame->size = 0;
                return PJ_SUCCESS;
            }
            auto *pcm = static_cast<int16_t *>(frame->buf);
            for (size_t i = 0; i < frame->size / 2; ++i)
                pcm[i] = stream->next++;
            return PJ_SUCCESS;
        };
        port.put_frame = [](pjmedia_port *self, pjmedia_frame *frame) -> pj_status_t {
            auto *stream = static_cast<FakeStream *>(self->port_data.pdata);
            const auto *pcm = static_cast<const int16_t *>(frame->buf);
            stream->sent.insert(stream->sent.end(), pcm, pcm + frame->size / 2);
            return PJ_SUCCESS;
        };
    }

    StreamTap tap(uint32_t rate_hz = 8000, uint16_t channels = 1) {
        StreamTap tap;
        tap.port = &port;
        tap.rate_hz = rate_hz;
        tap.frame_samples = static_cast<uint16_t>(rate_hz / 50);
        tap.channels = channels;
        tap.stream = this;
        tap.concealed = [](void *stream) { return static_cast<FakeStream *>(stream)->concealed; };
        return tap;
    }

    std::vector<int16_t> last_frame(size_t samples = 160) const { return {sent.end() - static_cast<long>(samples), sent.end()}; }
};

struct Call {
    PcmHub hub;
    FakeStream stream;
    std::shared_ptr<PcmPort> port = std::make_shared<PcmPort>(hub, 1);

    Call() {
        port->listen(true);
        port->attach(stream.tap());
        drain();
    }
    void tick(int frames = 1) {
        for (int i = 0; i < frames; ++i)
            port->tick(parley::monotonic_ns());
    }
    PortBatch drain() {
        PortBatch batch;
        port->drain(batch);
        return batch;
    }
    size_t write(uint32_t id, const std::vector<int16_t> &pcm, uint32_t rate_hz = 8000) {
        return port->write(id, rate_hz, pcm.data(), pcm.size());
    }
};

std::vector<int16_t> constant(size_t samples, int16_t value) { return std::vector<int16_t>(samples, value); }

int largest_step(const std::vector<int16_t> &pcm, int16_t before) {
    int largest = 0;
    for (const int16_t sample : pcm) {
        largest = std::max(largest, std::abs(sample - before));
        before = sample;
    }
    return largest;
}

bool readable(const PcmHub &hub) {
    pollfd fd{hub.fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
}

} // namespace

TEST("the caller's frames arrive whole, in order, on one timeline") {
    Call call;
    call.tick(3);
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.size(), 3u);
    EQUAL(batch.pcm.size(), 480u);
    for (size_t i = 0; i < 480; ++i)
        EQUAL(batch.pcm[i], static_cast<int16_t>(i));
    for (size_t i = 0; i < 3; ++i) {
        EQUAL(batch.frames[i].position, static_cast<int64_t>(i) * 160);
        EQUAL(batch.frames[i].flags, 0);
    }
}

TEST("frames nobody sent are flagged, and zero when there is nothing to make them from") {
    Call call;
    call.stream.concealed = true;
    call.tick();
    call.stream.silent = true;
    call.tick();
    const PortBatch batch = call.drain();
    EQUAL(batch.frames[0].flags, parley::kConcealed);
    EQUAL(batch.frames[1].flags, parley::kConcealed);
    CHECK(std::all_of(batch.pcm.begin() + 160, batch.pcm.end(), [](int16_t sample) { return sample == 0; }));
    EQUAL(call.port->counters().frames_concealed, 2u);
}

TEST("frames that are not fetched give way to newer ones, and are counted") {
    Call call;
    call.tick(static_cast<int>(PcmPort::kUplinkFrames) + 7);
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.size(), PcmPort::kUplinkFrames);
    EQUAL(batch.frames[0].position, 7 * 160);
    EQUAL(call.port->counters().frames_dropped, 7u);
}

TEST("a call nobody listens to keeps nothing") {
    Call call;
    call.port->listen(false);
    call.tick(5);
    CHECK(call.drain().frames.empty());
    EQUAL(call.port->counters().frames_in, 5u);
}

TEST("skipped frames leave their room on the timeline") {
    Call call;
    call.tick();
    call.port->skipped(4);
    call.tick();
    const PortBatch batch = call.drain();
    EQUAL(batch.frames[1].position, 5 * 160);
    EQUAL(call.port->counters().frames_skipped, 4u);
}

TEST("what was sent can be tapped, on the caller's timeline") {
    Call call;
    call.port->tapSent(true);
    call.write(1, constant(160, 9));
    call.tick(2);
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.size(), 4u);
    EQUAL(batch.frames[0].flags, 0);
    EQUAL(batch.frames[2].flags, parley::kSent);
    EQUAL(batch.frames[2].position, batch.frames[0].position);
    EQUAL(batch.frames[3].position, batch.frames[1].position);
    EQUAL(batch.pcm[1], 1); // heard: the ramp
    EQUAL(batch.pcm[320], 9);
    CHECK(batch.frames[2].arrived_ns > 0);
}

TEST("silence is sent while nothing is queued") {
    Call call;
    call.tick(2);
    EQUAL(call.stream.sent.size(), 320u);
    CHECK(std::all_of(call.stream.sent.begin(), call.stream.sent.end(), [](int16_t sample) { return sample == 0; }));
}

TEST("an utterance goes out bit for bit and reports when") {
    Call call;
    std::vector<int16_t> pcm(800);
    for (size_t i = 0; i < pcm.size(); ++i)
        pcm[i] = static_cast<int16_t>(i * 37);
    pcm.back() = 0;
    EQUAL(call.write(5, pcm), 800u);
    call.port->endUtterance(5);
    const int64_t before = parley::monotonic_ns();
    call.tick(6);
    const int64_t after = parley::monotonic_ns();
    CHECK(std::equal(pcm.begin(), pcm.end(), call.stream.sent.begin()));
    const PortBatch batch = call.drain();
    EQUAL(batch.events.size(), 2u);
    CHECK(batch.events[0].kind == PortEventKind::kStarted && batch.events[1].kind == PortEventKind::kFinished);
    EQUAL(batch.events[1].samples, 800);
    CHECK(before <= batch.events[0].at_ns && batch.events[0].at_ns <= batch.events[1].at_ns);
    CHECK(batch.events[1].at_ns <= after);
    EQUAL(call.port->counters().underruns, 0u);
}

TEST("a flush falls silent within 5 ms, without a click") {
    Call call;
    call.write(1, constant(1600, 16000));
    call.tick(2);
    const auto cut = call.port->clear();
    EQUAL(cut.size(), 1u);
    EQUAL(cut[0].heard_samples, 320);
    EQUAL(cut[0].discarded_samples, 1280);
    call.tick();
    const auto frame = call.stream.last_frame();
    CHECK(largest_step(frame, 16000) <= 16000 / 40 + 1);
    CHECK(std::all_of(frame.begin() + 40, frame.end(), [](int16_t sample) { return sample == 0; }));
    call.tick();
    CHECK(call.stream.last_frame() == constant(160, 0));
    CHECK(call.drain().events.size() == 1); // started; neither finished nor starved
}

TEST("what follows a flush at once does not click either") {
    Call call;
    call.write(1, constant(1600, 16000));
    call.tick();
    call.port->clear();
    call.write(2, constant(1600, 0));
    call.tick();
    CHECK(largest_step(call.stream.last_frame(), 16000) <= 16000 / 40 + 1);
}

TEST("a pause keeps the queue, and neither it nor its end clicks") {
    Call call;
    call.write(1, constant(3200, 16000));
    call.tick();
    call.port->pause();
    call.tick();
    CHECK(largest_step(call.stream.last_frame(), 16000) <= 16000 / 40 + 1);
    call.tick(3);
    EQUAL(call.port->queuedSamples(), 3040);
    EQUAL(call.port->progress()->heard_samples, 160);
    CHECK(call.stream.last_frame() == constant(160, 0));
    call.port->resume();
    call.tick();
    CHECK(largest_step(call.stream.last_frame(), 0) <= 16000 / 40 + 1);
    EQUAL(call.stream.sent.back(), 16000);
    EQUAL(call.port->counters().underruns, 0u);
}

TEST("ducking glides over one frame, muting keeps time") {
    Call call;
    call.write(1, constant(3200, 16000));
    call.tick();
    call.port->duck(0.25);
    call.tick();
    CHECK(largest_step(call.stream.last_frame(), 16000) <= 12000 / 160 + 1);
    EQUAL(call.stream.sent.back(), 4000);
    call.port->mute(true);
    call.tick(2);
    EQUAL(call.stream.sent.back(), 0);
    call.port->mute(false);
    call.port->duck(1.0);
    call.tick();
    EQUAL(call.stream.sent.back(), 16000);
    EQUAL(call.port->queuedSamples(), 3200 - 5 * 160);
}

TEST("a held stream is given nothing and loses nothing") {
    Call call;
    call.write(1, constant(320, 100));
    call.port->detach();
    StreamTap held = call.stream.tap();
    held.sends = false;
    call.port->attach(held);
    call.tick(5);
    CHECK(call.stream.sent.empty());
    EQUAL(call.port->queuedSamples(), 320);
    call.port->detach();
    call.port->attach(call.stream.tap());
    call.tick();
    CHECK(call.stream.sent == constant(160, 100));
}

TEST("the queue and the timeline survive a change of codec") {
    Call call;
    call.write(1, constant(320, 1000));
    call.tick();
    call.drain();
    call.tick(); // not fetched before the change
    call.port->detach();
    FakeStream wide;
    call.port->attach(wide.tap(16000));
    EQUAL(call.port->sampleRate(), 16000u);
    EQUAL(call.port->frameSamples(), 320u);
    call.write(1, constant(160, 1000), 8000); // written by one who has not heard of it yet
    call.tick();
    CHECK(wide.sent == constant(320, 1000));
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.size(), 1u); // the old rate's frame is given up
    EQUAL(batch.frames[0].rate_hz, 16000u);
    CHECK(batch.frames[0].position >= 640);
    EQUAL(batch.events.front().at_ns > 0, true);
    EQUAL(call.port->counters().frames_dropped, 1u);
}

TEST("a stereo stream is heard and fed as mono") {
    Call call;
    call.port->detach();
    FakeStream stereo;
    call.port->attach(stereo.tap(48000, 2));
    call.write(1, constant(960, 500), 48000);
    call.tick();
    EQUAL(stereo.sent.size(), 1920u);
    CHECK(stereo.sent == constant(1920, 500));
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.back().samples, 960);
    EQUAL(batch.pcm[1], 2); // mean of 2 and 3, cut
}

TEST("a stream that PJMEDIA has closed is left alone") {
    Call call;
    call.stream.port.get_frame = nullptr;
    call.stream.port.put_frame = nullptr;
    call.tick(3);
    CHECK(call.drain().frames.empty());
}

TEST("the hub lists a port once and wakes its reader once, until it has been asked") {
    Call call;
    std::vector<std::shared_ptr<PcmPort>> ports;
    call.hub.collect(ports); // the attachment
    ports.clear();
    CHECK(!readable(call.hub));
    const uint64_t before = call.hub.wakeups();
    call.tick(3);
    CHECK(!readable(call.hub));
    call.hub.signal();
    call.hub.signal();
    CHECK(readable(call.hub));
    EQUAL(call.hub.wakeups() - before, 1u);
    call.hub.collect(ports);
    EQUAL(ports.size(), 1u);
    CHECK(!readable(call.hub));
    call.tick();
    call.hub.signal();
    CHECK(readable(call.hub));
}

TEST("a port outlives everybody who held it while the hub lists it") {
    PcmHub hub;
    FakeStream stream;
    std::weak_ptr<PcmPort> watch;
    {
        auto port = std::make_shared<PcmPort>(hub, 1);
        watch = port;
        port->listen(true);
        port->attach(stream.tap());
        port->tick(1);
        port->detach();
    }
    CHECK(!watch.expired());
    std::vector<std::shared_ptr<PcmPort>> ports;
    hub.collect(ports);
    ports.clear();
    CHECK(watch.expired());
}

namespace {

// A call whose packets come to the port itself.
struct TappedCall : Call {
    peer::Sender sender;

    TappedCall() {
        port->detach();
        port->attach(tapped(stream));
        drain();
        std::vector<std::shared_ptr<PcmPort>> ports;
        hub.collect(ports);
    }
    static StreamTap tapped(FakeStream &stream, uint32_t rate_hz = 8000) {
        StreamTap tap = stream.tap(rate_hz);
        tap.decoder = std::make_shared<peer::WholeDecoder>();
        tap.rtp_rate_hz = rate_hz;
        return tap;
    }
    static void receive(PcmPort &port, const peer::Sender::Packet &made) {
        parley::UplinkPacket packet = made.packet;
        packet.payload = reinterpret_cast<const uint8_t *>(made.payload.data());
        packet.size = made.payload.size() * 2;
        packet.arrived_ns = parley::monotonic_ns();
        port.receive(packet);
    }
    void receive(const peer::Sender::Packet &made) { receive(*port, made); }
};

} // namespace

TEST("a tapped stream is heard through its packets alone") {
    TappedCall call;
    for (int i = 0; i < 3; ++i) {
        call.receive(call.sender.next());
        call.tick();
    }
    const PortBatch batch = call.drain();
    EQUAL(batch.frames.size(), 3u);
    for (size_t i = 0; i < batch.pcm.size(); ++i)
        EQUAL(batch.pcm[i], peer::sample_at(static_cast<int64_t>(i)));
    EQUAL(call.stream.next, 0);
    EQUAL(call.stream.sent.size(), 480u);
    EQUAL(call.port->counters().uplink.packets, 3u);
    EQUAL(call.port->counters().frames_in, 3u);
}

TEST("what is sent to a tapped stream lies beside what is heard at that time, before the first packet too") {
    TappedCall call;
    call.port->tapSent(true);
    call.tick(5);
    const int64_t first_sent = call.drain().frames.at(0).position;
    const int64_t begin = parley::monotonic_ns();
    while (parley::monotonic_ns() - begin < 200 * peer::kMs) {
        std::this_thread::sleep_for(20ms);
        call.tick();
        call.receive(call.sender.next());
    }
    const PortBatch batch = call.drain();
    int64_t heard = -1, sent = -1;
    for (const auto &frame : batch.frames)
        ((frame.flags & parley::kSent) ? sent : heard) = frame.position;
    CHECK(first_sent >= 0 && sent > first_sent);
    CHECK(heard >= 0);
    // The five ticks at once put what was sent 100 ms ahead; beyond that only this thread's own delays may.
    const int64_t slept = (parley::monotonic_ns() - begin) / peer::kMs * 8;
    CHECK(heard - sent < slept && sent - heard < 160 * 7);
}

TEST("a packet wakes the reader at once, the next one right after it with the pulse") {
    TappedCall call;
    std::this_thread::sleep_for(6ms);
    call.receive(call.sender.next());
    CHECK(readable(call.hub));
    std::vector<std::shared_ptr<PcmPort>> ports;
    const uint64_t before = call.hub.wakeups();
    int at_once = 0;
    for (int i = 0; i < 20; ++i) {
        ports.clear();
        call.hub.collect(ports);
        call.drain();
        call.receive(call.sender.next());
        at_once += readable(call.hub);
        call.hub.pulse(parley::monotonic_ns());
        CHECK(readable(call.hub)); // whatever was left over
    }
    EQUAL(call.hub.wakeups() - before, 20u);
    CHECK(at_once < 20); // unless each round takes 4 ms
}

TEST("a port with a gap gets the pulse until the gap is given up") {
    TappedCall call;
    StreamTap robust = TappedCall::tapped(call.stream);
    robust.policy = parley::JitterPolicy::kRobust;
    call.port->detach();
    call.port->attach(robust);
    call.receive(call.sender.next());
    call.sender.next();
    call.receive(call.sender.next());
    EQUAL(call.drain().frames.size(), 1u);
    call.hub.pulse(parley::monotonic_ns());
    call.hub.pulse(parley::monotonic_ns() + 30 * peer::kMs);
    EQUAL(call.drain().frames.size(), 2u);
    EQUAL(call.port->counters().frames_concealed, 1u);
    EQUAL(call.port.use_count(), 2); // this test and the hub's list of ready ports: the waiting list is empty
}

TEST("a re-INVITE goes on with the timeline and the counts of a tapped stream") {
    TappedCall call;
    for (int i = 0; i < 15; ++i) // faster than time, so that the timeline is ahead of the clock
        call.receive(call.sender.next());
    PortBatch batch = call.drain();
    const int64_t heard_until = batch.frames.back().position + 160;
    CHECK(heard_until >= 2400);
    call.port->detach();
    call.receive(call.sender.next()); // nobody is there
    FakeStream wide;
    call.port->attach(TappedCall::tapped(wide, 16000));
    peer::Sender other;
    other.samples = 320;
    other.ticks = 320;
    call.receive(other.next());
    batch = call.drain();
    CHECK(batch.frames.back().position >= heard_until * 2);
    EQUAL(batch.frames.back().rate_hz, 16000u);
    EQUAL(call.port->counters().frames_in, 16u);
    EQUAL(call.port->counters().uplink.packets, 16u);
}

TEST("a tapped call nobody listens to decodes nothing") {
    TappedCall call;
    call.port->listen(false);
    call.receive(call.sender.next());
    CHECK(call.drain().frames.empty());
}

TEST("what is said waits while keys are dialled, and neither clicks nor loses anything") {
    Call call;
    call.write(1, constant(480, 8000));
    call.tick();
    CHECK(call.port->dial("5", 2, 60, 40, false));
    call.tick(5);
    CHECK(std::count(call.stream.sent.begin() + 161, call.stream.sent.end(), 8000) == 0);
    const auto tone = std::minmax_element(call.stream.sent.begin() + 240, call.stream.sent.begin() + 600);
    CHECK(*tone.first < -10000 && *tone.second > 10000);
    call.tick(3);
    EQUAL(std::count(call.stream.sent.end() - 440, call.stream.sent.end() - 160, 8000), 280); // but for the lead-in
    CHECK(largest_step({call.stream.sent.begin() + 160, call.stream.sent.begin() + 164}, 8000) < 2000);
    CHECK(!call.port->dial("x", 0, 60, 40, false));
    CHECK(!call.port->takesEvents());
}

TEST("secret tones go out, and are silence where what was sent is kept") {
    Call call;
    call.port->tapSent(true);
    CHECK(call.port->dial("5", 0, 60, 40, true));
    CHECK(call.port->dial("5", 0, 60, 40, false));
    call.tick(10);
    const PortBatch batch = call.drain();
    const int16_t *pcm = batch.pcm.data();
    int sent = 0;
    for (const auto &frame : batch.frames) {
        if (frame.flags & parley::kSent) {
            const bool silent = std::all_of(pcm, pcm + frame.samples, [](int16_t one) { return one == 0; });
            CHECK(silent == (sent < 5 || sent >= 8));
            ++sent;
        }
        pcm += frame.samples;
    }
    EQUAL(sent, 10);
    CHECK(call.stream.sent[300] != 0);
}

TEST("keys of events and of tones come out of the port, and tones are flagged in the frames") {
    TappedCall call;
    const uint8_t press[] = {11, 0x8A, 3, 32};
    call.port->receive_key_event(1000, press, sizeof press, 8000, parley::monotonic_ns());
    PortBatch batch = call.drain();
    EQUAL(batch.events.size(), 2u);
    CHECK(batch.events[0].kind == PortEventKind::kKeyPressed && batch.events[0].utterance_id == 11);
    CHECK(batch.events[1].kind == PortEventKind::kKeyReleased && batch.events[1].samples == 100);

    Call talker; // makes the tone
    talker.port->dial("5", 2, 100, 100, false);
    talker.tick(10);
    for (const bool listening : {true, false}) {
        FakeStream stream;
        auto port = std::make_shared<PcmPort>(call.hub, 2);
        port->listen(listening);
        port->attach(TappedCall::tapped(stream));
        port->detectTones(1);
        batch = PortBatch{};
        port->drain(batch);
        batch.clear();
        peer::Sender sender;
        for (size_t at = 0; at < talker.stream.sent.size(); at += 160) {
            auto packet = sender.next();
            std::memcpy(packet.payload.data(), talker.stream.sent.data() + at, 320);
            TappedCall::receive(*port, packet);
        }
        port->drain(batch);
        EQUAL(batch.events.size(), 2u);
        CHECK(batch.events[0].kind == PortEventKind::kKeyPressed && batch.events[0].utterance_id == 256 + 5);
        EQUAL(batch.frames.size(), listening ? 10u : 0u);
        const auto flagged = std::count_if(batch.frames.begin(), batch.frames.end(),
                                           [](const auto &frame) { return (frame.flags & parley::kDtmf) != 0; });
        CHECK(flagged >= (listening ? 3 : 0));
    }
}

// Transport, clock, SIP thread and event loop at once.
TEST("packets come while ports are ticked, pulsed, read, asked and freed") {
    PcmHub hub;
    MediaClock clock({nullptr, [&hub] { hub.signal(); }});
    struct Pulse final : parley::Ticker {
        PcmHub &hub;
        explicit Pulse(PcmHub &all) : hub(all) {}
        void tick(int64_t now_ns) noexcept override { hub.pulse(now_ns); }
        void skipped(unsigned) noexcept override {}
    };
    const auto pulse = std::make_shared<Pulse>(hub);
    clock.attach(pulse, 1'000'000);
    clock.start();
    std::atomic<bool> done{false};
    std::atomic<int64_t> heard{0}, broken{0};
    std::thread reader([&] {
        while (!done) {
            pollfd fd{hub.fd(), POLLIN, 0};
            poll(&fd, 1, 5);
            std::vector<std::shared_ptr<PcmPort>> ready;
            hub.collect(ready);
            for (const auto &port : ready) {
                PortBatch batch;
                port->drain(batch);
                int64_t before[2] = {-1, -1};
                for (const auto &frame : batch.frames) {
                    int64_t &last = before[(frame.flags & parley::kSent) != 0];
                    broken += frame.position <= last;
                    last = frame.position;
                }
                heard += static_cast<int64_t>(batch.frames.size());
                broken += port->counters().frames_in < port->counters().frames_concealed;
            }
        }
    });
    std::vector<std::thread> callers;
    for (int t = 0; t < 3; ++t)
        callers.emplace_back([&, t] {
            std::mt19937 random(static_cast<uint32_t>(t));
            for (int i = 0; i < 30; ++i) {
                auto port = std::make_shared<PcmPort>(hub, static_cast<uint32_t>(t * 1000 + i));
                port->listen(true);
                port->tapSent(i % 2 == 0);
                FakeStream stream;
                port->attach(TappedCall::tapped(stream));
                clock.attach(port, 5'000'000);
                peer::Sender sender;
                std::vector<peer::Sender::Packet> late;
                for (int packet = 0; packet < 40; ++packet) {
                    peer::Sender::Packet made = sender.next();
                    if (random() % 5 == 0)
                        late.push_back(std::move(made));
                    else if (random() % 10 > 0)
                        TappedCall::receive(*port, made);
                    if (random() % 4 == 0 && !late.empty()) {
                        TappedCall::receive(*port, late.back());
                        late.pop_back();
                    }
                    if (packet % 8 == 0)
                        std::this_thread::sleep_for(1ms);
                }
                clock.detach(port.get());
                port->detach();
            }
        });
    for (std::thread &caller : callers)
        caller.join();
    done = true;
    reader.join();
    clock.stop();
    CHECK(heard > 0);
    EQUAL(broken.load(), 0);
}

// Clock, SIP thread and event loop as in the gateway, at a pace no gateway sees.
TEST("calls are attached, held, cleared and freed while clock and reader run") {
    PcmHub hub;
    MediaClock clock({nullptr, [&hub] { hub.signal(); }});
    clock.start();
    std::atomic<bool> done{false};
    std::atomic<int64_t> heard{0}, broken{0};
    std::mutex ports_mutex;
    std::vector<std::shared_ptr<PcmPort>> live;
    std::thread reader([&] {
        uint32_t utterance = 0;
        while (!done) {
            pollfd fd{hub.fd(), POLLIN, 0};
            poll(&fd, 1, 5);
            std::vector<std::shared_ptr<PcmPort>> ready;
            hub.collect(ready);
            for (const auto &port : ready) {
                PortBatch batch;
                port->drain(batch);
                size_t samples = 0;
                for (const auto &frame : batch.frames)
                    samples += frame.samples;
                broken += samples != batch.pcm.size();
                heard += static_cast<int64_t>(batch.frames.size());
                port->write(++utterance / 50, port->sampleRate(), batch.pcm.data(), batch.pcm.size());
                if (utterance % 17 == 0)
                    port->clear();
                if (utterance % 31 == 0)
                    port->progress();
                port->duck(0.5);
            }
        }
    });
    std::vector<std::thread> callers;
    for (int t = 0; t < 3; ++t)
        callers.emplace_back([&, t] {
            for (int i = 0; i < 60; ++i) {
                auto port = std::make_shared<PcmPort>(hub, static_cast<uint32_t>(t * 1000 + i));
                port->listen(true);
                for (const uint32_t rate : {8000u, 16000u, 8000u}) {
                    FakeStream stream;
                    port->attach(stream.tap(rate));
                    clock.attach(port, 5'000'000);
                    std::this_thread::sleep_for(std::chrono::milliseconds(1 + i % 9));
                    clock.detach(port.get());
                    port->detach();
                }
            }
        });
    for (std::thread &caller : callers)
        caller.join();
    done = true;
    reader.join();
    clock.stop();
    CHECK(heard > 0);
    EQUAL(broken.load(), 0);
}

// ---- announcements

namespace {

size_t announce(Call &call, uint32_t id, const std::vector<int16_t> &pcm, uint32_t rate_hz = 8000) {
    return call.port->announce(id, rate_hz, pcm.data(), pcm.size());
}

} // namespace

TEST("an announcement takes its turn over speech, which loses nothing and goes on behind it") {
    Call call;
    call.write(1, constant(480, 1000));
    call.port->endUtterance(1);
    call.tick();
    EQUAL(announce(call, 2, constant(320, 500)), 320u);
    call.port->endAnnouncement(2);
    call.tick(2);
    EQUAL(call.stream.sent.back(), 500);
    EQUAL(call.port->queuedSamples(), 320);
    EQUAL(call.port->progress()->heard_samples, 160);
    call.tick(2);
    EQUAL(call.port->queuedSamples(), 0);
    const auto &sent = call.stream.sent;
    EQUAL(sent.size(), 800u);
    CHECK(std::count(sent.begin(), sent.end(), 500) >= 280); // but for the lead-out under its beginning
    EQUAL(sent[160 + 40], 500);
    EQUAL(sent.back(), 1000);
    CHECK(largest_step({sent.begin() + 160, sent.begin() + 320}, 1000) <= 500); // never both, nor a hole
    const PortBatch batch = call.drain();
    const PortEventKind wanted[] = {PortEventKind::kStarted, PortEventKind::kAnnouncementStarted,
                                    PortEventKind::kAnnouncementFinished, PortEventKind::kFinished};
    EQUAL(batch.events.size(), 4u);
    for (size_t i = 0; i < 4 && i < batch.events.size(); ++i)
        EQUAL(static_cast<int>(batch.events[i].kind), static_cast<int>(wanted[i]));
    EQUAL(batch.events[2].utterance_id, 2u);
    EQUAL(batch.events[2].samples, 320);
    EQUAL(batch.events[3].samples, 480);
    EQUAL(call.port->counters().underruns, 0u);
}

TEST("an announcement knows nothing of the speech's clear, pause and gain, nor speech of its clear") {
    Call call;
    call.write(1, constant(1600, 1000));
    announce(call, 1, constant(1600, 500)); // ids are each queue's own
    call.port->pause();
    call.port->duck(0.0);
    call.tick();
    EQUAL(call.stream.sent.back(), 500);
    EQUAL(call.port->clear().size(), 1u);
    call.tick();
    EQUAL(call.stream.sent.back(), 500);
    EQUAL(call.port->announcementQueuedSamples(), 1280);
    EQUAL(call.port->announcementProgress()->heard_samples, 320);
    call.port->resume();
    call.port->duck(1.0);
    call.write(2, constant(1600, 1000));
    const auto cut = call.port->clearAnnouncement();
    EQUAL(cut.size(), 1u);
    EQUAL(cut[0].heard_samples, 320);
    EQUAL(cut[0].discarded_samples, 1280);
    EQUAL(call.port->queuedSamples(), 1600);
    call.tick();
    EQUAL(call.stream.sent.back(), 1000);
    CHECK(largest_step(call.stream.last_frame(), 500) <= 1000 / 40 + 1); // what was broken off is led out under it
    EQUAL(announce(call, 1, constant(160, 500)), 0u);                    // late audio of the one that was cleared
}

TEST("a starved announcement keeps its turn until it ends, and a mute silences it") {
    Call call;
    call.write(1, constant(1600, 1000));
    announce(call, 1, constant(160, 500));
    call.tick(3);
    EQUAL(call.port->queuedSamples(), 1600);
    CHECK(call.stream.last_frame() == constant(160, 0));
    announce(call, 1, constant(320, 500));
    call.tick();
    EQUAL(call.stream.sent.back(), 500);
    call.port->mute(true);
    call.tick();
    EQUAL(call.stream.sent.back(), 0);
    call.port->mute(false);
    call.port->endAnnouncement(1);
    call.tick(); // the end comes after its last sample: found in the frame that speech goes on in
    EQUAL(call.stream.sent.back(), 1000);
    EQUAL(call.port->queuedSamples(), 1440);
}

TEST("announcements go out in time however many there are, and survive hold and codec") {
    Call call;
    for (uint32_t id = 1; id <= 20; ++id) {
        EQUAL(announce(call, id, constant(8, 100)), 8u);
        call.port->endAnnouncement(id);
    }
    call.tick();
    call.drain();
    call.port->detach();
    FakeStream wide;
    call.port->attach(wide.tap(16000));
    EQUAL(announce(call, 21, constant(160, 100)), 160u);
    call.port->endAnnouncement(21);
    size_t finished = 0;
    for (int i = 0; i < 6; ++i) {
        call.tick();
        for (const auto &event : call.drain().events)
            finished += event.kind == PortEventKind::kAnnouncementFinished;
    }
    EQUAL(call.port->announcementQueuedSamples(), 0);
    CHECK(finished >= 17); // the first frame's eight marks were told before
    CHECK(std::count(wide.sent.begin(), wide.sent.end(), 100) >= 320);
}

// ---- lines to other calls

namespace {

constexpr int kHeard = 0, kSpoken = 1; // tracks
constexpr int kIntoSent = 0, kIntoEar = 1;

// Both ends of a bridge, on one thread: what one's stream brings, the other's gets.
struct Two {
    Call a, b;

    void tick(int frames = 1) {
        for (int i = 0; i < frames; ++i) {
            a.tick();
            b.tick();
        }
    }
};

bool rises(const std::vector<int16_t> &pcm) { // the fake stream's ramp
    for (size_t i = 1; i < pcm.size(); ++i)
        if (pcm[i] != pcm[i - 1] + 1)
            return false;
    return true;
}

} // namespace

TEST("what one call hears is sent to another, both ways, over what is said there") {
    Two two;
    CHECK(two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0));
    CHECK(two.a.port->mixFrom(*two.b.port, kHeard, kIntoSent, 1.0));
    two.a.port->listen(false); // nobody in Python needs to
    two.b.port->listen(false);
    two.tick(20);
    CHECK(rises(two.b.stream.last_frame()));
    CHECK(rises(two.a.stream.last_frame()));
    EQUAL(two.b.stream.sent.back(), 20 * 160 - 1 - 16);
    two.b.write(1, constant(160, 100));
    two.tick();
    EQUAL(two.b.stream.last_frame()[0], 20 * 160 - 16 + 100);
    two.tick(); // led out by itself
    EQUAL(two.b.stream.sent.back(), 22 * 160 - 1 - 16);
    EQUAL(two.a.port->lineCounters().shortages + two.b.port->lineCounters().shortages, 0u);
    CHECK(two.a.drain().frames.empty());
    two.b.port->unmix(*two.a.port, kHeard, kIntoSent);
    two.tick(2);
    CHECK(two.b.stream.last_frame() == constant(160, 0));
    CHECK(!std::all_of(two.a.stream.sent.end() - 160, two.a.stream.sent.end(), [](int16_t one) { return one == 0; }));
}

TEST("what a line brings is tapped as sent, silenced by a mute, and not heard between dialled tones") {
    Two two;
    two.b.port->tapSent(true);
    two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0);
    two.tick(3);
    two.b.drain();
    two.tick();
    const PortBatch batch = two.b.drain();
    EQUAL(batch.frames.size(), 2u);
    EQUAL(batch.pcm.back(), two.b.stream.sent.back());
    CHECK(two.b.stream.sent.back() > 300);
    two.b.port->mute(true);
    two.tick(2);
    CHECK(two.b.stream.last_frame() == constant(160, 0));
    two.b.port->mute(false);
    two.tick(2);
    CHECK(rises(two.b.stream.last_frame()));
    Call alone;
    CHECK(two.b.port->dial("w5", 2, 100, 100, false) && alone.port->dial("w5", 2, 100, 100, false));
    two.tick(20); // half a second's pause
    CHECK(two.b.stream.last_frame() == constant(160, 0));
    two.tick(8);
    alone.tick(28);
    CHECK(two.b.stream.last_frame() == alone.stream.last_frame());
    CHECK(two.b.stream.last_frame() != constant(160, 0));
}

TEST("a caller who is muted is heard by nobody, but for keys") {
    Two two;
    two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0);
    two.tick(3);
    two.a.drain();
    two.a.port->muteHeard(true);
    two.tick(3);
    CHECK(two.b.stream.last_frame() == constant(160, 0));
    const PortBatch batch = two.a.drain();
    EQUAL(batch.frames.size(), 3u);
    CHECK(batch.pcm == constant(480, 0));
    two.a.port->muteHeard(false);
    two.tick(2);
    CHECK(rises(two.b.stream.last_frame()));
    EQUAL(two.b.port->lineCounters().shortages, 0u);
}

TEST("a listener gets what is said to a call without what lines bring there") {
    Two two;
    Call listener;
    listener.port->mixFrom(*two.a.port, kSpoken, kIntoSent, 1.0);
    two.a.port->mixFrom(*two.b.port, kHeard, kIntoSent, 1.0);
    two.a.write(1, constant(3200, 77));
    for (int i = 0; i < 5; ++i) {
        two.tick();
        listener.tick();
    }
    CHECK(listener.stream.last_frame() == constant(160, 77));
    CHECK(two.a.stream.sent.back() > 300);
}

TEST("a voice in Python's ear is heard there and nowhere else") {
    Two two;
    Call agent;
    agent.port->mixFrom(*two.b.port, kSpoken, kIntoEar, 1.0);
    two.a.port->mixFrom(*agent.port, kHeard, kIntoSent, 1.0);
    two.b.write(1, constant(3200, 5000));
    PortBatch batch;
    for (int i = 0; i < 5; ++i) {
        two.tick();
        agent.tick();
        batch = agent.drain();
    }
    EQUAL(batch.frames.size(), 1u);
    EQUAL(batch.pcm[159], 4 * 160 + 159 + 5000);
    two.a.tick();
    CHECK(rises(two.a.stream.last_frame())); // without it
    CHECK(std::all_of(agent.stream.sent.begin(), agent.stream.sent.end(), [](int16_t one) { return one == 0; }));
}

TEST("lines survive hold and codec, bring nothing old, and cross rates") {
    Two two;
    two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0);
    two.tick(5);
    two.b.port->detach();
    two.a.tick(10);
    FakeStream wide;
    StreamTap held = wide.tap(16000);
    held.sends = false;
    two.b.port->attach(held);
    two.tick(10);
    CHECK(wide.sent.empty());
    two.b.port->detach();
    two.b.port->attach(wide.tap(16000));
    two.tick(10);
    EQUAL(wide.sent.size(), 3200u);
    CHECK(std::all_of(wide.sent.begin(), wide.sent.begin() + 30, [](int16_t one) { return one == 0; }));
    CHECK(two.b.port->lineCounters().queued_samples <= 40);
    const auto now = two.a.stream.next;
    CHECK(std::abs(wide.sent.back() - now) < 160); // the ramp, some milliseconds late
}

TEST("a line is made once and changed then, their number is bounded, and the unknown is harmless") {
    Two two;
    two.b.port->unmix(*two.a.port, kHeard, kIntoSent);
    CHECK(two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0));
    CHECK(two.b.port->mixFrom(*two.a.port, kHeard, kIntoSent, 0.0));
    two.tick(4);
    CHECK(two.b.stream.last_frame() == constant(160, 0));
    PcmHub hub;
    std::vector<std::shared_ptr<PcmPort>> many;
    size_t made = 0;
    for (uint32_t id = 100; id < 140; ++id) {
        many.push_back(std::make_shared<PcmPort>(hub, id));
        made += two.b.port->mixFrom(*many.back(), kHeard, kIntoSent, 1.0);
    }
    EQUAL(made, parley::CallLines::kMost - 1);
    many.clear(); // their lines run dry
    two.tick(2);
    auto detached = std::make_shared<PcmPort>(hub, 200);
    for (int i = 0; i < 100; ++i) { // without a clock nothing fades out, and still there is room
        CHECK(detached->mixFrom(*two.a.port, kHeard, kIntoSent, 1.0));
        detached->unmix(*two.a.port, kHeard, kIntoSent);
    }
}

TEST("lines come and go while clocks run and packets arrive") {
    TappedCall calls[3];
    MediaClock clock;
    clock.start();
    for (auto &call : calls)
        clock.attach(call.port, 1'000'000);
    std::atomic<bool> done{false};
    std::vector<std::thread> networks;
    for (auto &call : calls)
        networks.emplace_back([&done, &call] {
            while (!done) {
                call.receive(call.sender.next());
                std::this_thread::sleep_for(1ms);
            }
        });
    for (int round = 0; round < 100; ++round) {
        const bool on = round % 2 == 0;
        for (int i = 0; i < 3; ++i)
            for (const int end : {kIntoSent, kIntoEar})
                for (const int track : {kHeard, kSpoken}) {
                    auto &sink = *calls[i].port, &source = *calls[(i + 1) % 3].port;
                    on ? static_cast<void>(sink.mixFrom(source, track, end, 0.5)) : sink.unmix(source, track, end);
                }
        for (auto &call : calls) {
            call.drain();
            call.port->lineCounters();
        }
        std::this_thread::sleep_for(2ms);
    }
    done = true;
    for (auto &network : networks)
        network.join();
    for (auto &call : calls)
        clock.detach(call.port.get());
    clock.stop();
    for (auto &call : calls)
        CHECK(call.port->counters().frames_out > 0);
}
