// SPDX-License-Identifier: GPL-3.0-or-later
#include "playout.hpp"

#include <map>
#include <random>
#include <thread>

#include "check.hpp"

using parley::Heard;
using parley::Playout;
using parley::PlayoutMark;
using parley::Transition;

namespace {

constexpr size_t kFrame = 160;

std::vector<int16_t> speech(size_t samples, int16_t first = 0) {
    std::vector<int16_t> pcm(samples);
    for (size_t i = 0; i < samples; ++i)
        pcm[i] = static_cast<int16_t>(first + static_cast<int16_t>(i));
    return pcm;
}

size_t write(Playout &playout, uint32_t id, const std::vector<int16_t> &pcm) {
    return playout.write(id, pcm.data(), pcm.size());
}

struct Pulled {
    std::vector<int16_t> pcm;
    std::vector<PlayoutMark> marks;
};

Pulled pull(Playout &playout, size_t samples = kFrame) {
    Pulled result;
    result.pcm.resize(samples);
    PlayoutMark marks[8];
    size_t mark_count = 0;
    result.pcm.resize(playout.pull(result.pcm.data(), samples, marks, 8, mark_count));
    result.marks.assign(marks, marks + mark_count);
    return result;
}

void open(Playout &playout, uint32_t capacity_ms = 1000) { playout.set_rate(8000, capacity_ms); }

} // namespace

TEST("samples are sent in the order they were written, across chunks") {
    Playout playout;
    open(playout);
    const auto pcm = speech(5000);
    EQUAL(write(playout, 1, {pcm.begin(), pcm.begin() + 3333}), 3333u);
    EQUAL(write(playout, 1, {pcm.begin() + 3333, pcm.end()}), 1667u);
    EQUAL(playout.queued(), 5000);
    std::vector<int16_t> sent;
    for (Pulled frame = pull(playout); !frame.pcm.empty(); frame = pull(playout))
        sent.insert(sent.end(), frame.pcm.begin(), frame.pcm.end());
    CHECK(sent == pcm);
    EQUAL(playout.queued(), 0);
}

TEST("an utterance is marked started with its first frame and finished with its last") {
    Playout playout;
    open(playout);
    CHECK(pull(playout).marks.empty());
    write(playout, 7, speech(400));
    playout.end(7);
    Pulled frame = pull(playout);
    EQUAL(frame.marks.size(), 1u);
    CHECK(frame.marks[0].kind == Transition::kStarted && frame.marks[0].utterance_id == 7);
    CHECK(pull(playout).marks.empty());
    frame = pull(playout);
    EQUAL(frame.pcm.size(), 80u);
    EQUAL(frame.marks.size(), 1u);
    CHECK(frame.marks[0].kind == Transition::kFinished && frame.marks[0].samples == 400);
    CHECK(pull(playout).marks.empty());
}

TEST("an utterance ended after it was sent is still reported finished") {
    Playout playout;
    open(playout);
    write(playout, 7, speech(160));
    EQUAL(pull(playout).marks.size(), 1u);
    playout.end(7);
    const Pulled frame = pull(playout);
    EQUAL(frame.marks.size(), 1u);
    CHECK(frame.marks[0].kind == Transition::kFinished && frame.marks[0].samples == 160);
}

TEST("a new utterance ends the one before, in the middle of a frame") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(100));
    write(playout, 2, speech(100));
    const Pulled frame = pull(playout);
    EQUAL(frame.marks.size(), 3u);
    CHECK(frame.marks[0].kind == Transition::kStarted && frame.marks[0].utterance_id == 1);
    CHECK(frame.marks[1].kind == Transition::kFinished && frame.marks[1].samples == 100);
    CHECK(frame.marks[2].kind == Transition::kStarted && frame.marks[2].utterance_id == 2);
    EQUAL(playout.progress()->utterance_id, 2u);
    EQUAL(playout.progress()->heard_samples, 60);
}

TEST("clearing tells exactly what was heard of each utterance") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(300));
    playout.end(1);
    write(playout, 2, speech(500));
    playout.end(2);
    write(playout, 3, speech(50));
    pull(playout);
    pull(playout); // 320: utterance 1 and 20 samples of 2
    const auto cut = playout.clear();
    EQUAL(cut.size(), 2u);
    EQUAL(cut[0].utterance_id, 2u);
    EQUAL(cut[0].heard_samples, 20);
    EQUAL(cut[0].discarded_samples, 480);
    EQUAL(cut[1].utterance_id, 3u);
    EQUAL(cut[1].heard_samples, 0);
    EQUAL(cut[1].discarded_samples, 50);
    EQUAL(playout.queued(), 0);
    CHECK(!playout.progress());
    const Pulled after = pull(playout);
    CHECK(playout.was_cleared());
    CHECK(after.pcm.empty() && after.marks.empty()); // neither 2 finished nor 3 started
}

TEST("audio of a cleared or ended utterance that comes late is refused, a new utterance is not") {
    Playout playout;
    open(playout);
    write(playout, 4, speech(1000));
    playout.clear();
    EQUAL(write(playout, 4, speech(160)), 0u);
    EQUAL(write(playout, 3, speech(160)), 0u);
    EQUAL(write(playout, 5, speech(160, 1)), 160u);
    const Pulled frame = pull(playout);
    EQUAL(frame.pcm.size(), 160u);
    EQUAL(frame.pcm[0], 1);
    playout.end(5);
    EQUAL(write(playout, 5, speech(160)), 0u);
}

TEST("clearing an utterance that waits for more audio closes it") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(160));
    pull(playout);
    const auto cut = playout.clear();
    EQUAL(cut.size(), 1u);
    EQUAL(cut[0].heard_samples, 160);
    EQUAL(cut[0].discarded_samples, 0);
    CHECK(pull(playout).marks.empty()); // not starved: nobody expects more
}

TEST("running dry within an utterance is marked once per gap") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(200));
    EQUAL(pull(playout).marks.size(), 1u);
    const Pulled frame = pull(playout);
    EQUAL(frame.pcm.size(), 40u);
    EQUAL(frame.marks.size(), 1u);
    CHECK(frame.marks[0].kind == Transition::kUnderrun);
    CHECK(pull(playout).marks.empty());
    write(playout, 1, speech(200));
    CHECK(pull(playout).marks.empty());
    EQUAL(pull(playout).marks.size(), 1u);
}

TEST("a full playout takes what fits and says so") {
    Playout playout;
    open(playout, 100);
    EQUAL(write(playout, 1, speech(1000)), 800u);
    EQUAL(write(playout, 1, speech(1)), 0u);
    pull(playout);
    EQUAL(write(playout, 1, speech(1000)), 160u);
    playout.clear();
    EQUAL(write(playout, 2, speech(1000)), 800u); // at once, though the clock has not seen the flush
    EQUAL(pull(playout).pcm.size(), 160u);
}

TEST("marks that find no room wait for the next frame") {
    Playout playout;
    open(playout);
    for (uint32_t id = 1; id <= 6; ++id)
        write(playout, id, speech(10));
    int16_t pcm[kFrame];
    PlayoutMark marks[4];
    size_t count = 0, started = 0, finished = 0;
    for (int frame = 0; frame < 4; ++frame) {
        playout.pull(pcm, kFrame, marks, 4, count);
        for (size_t i = 0; i < count; ++i) {
            started += marks[i].kind == Transition::kStarted;
            finished += marks[i].kind == Transition::kFinished;
        }
    }
    EQUAL(started, 6u);
    EQUAL(finished, 5u);
}

TEST("what is queued is converted when the rate changes, and stays the same utterance") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(480));
    playout.end(1);
    pull(playout);
    playout.set_rate(16000, 1000);
    EQUAL(playout.queued(), 640);
    EQUAL(playout.progress()->heard_samples, 320);
    const Pulled first = pull(playout, 320);
    EQUAL(first.pcm[0], 160);
    EQUAL(first.pcm[2], 161);
    const Pulled last = pull(playout, 320);
    EQUAL(last.pcm.size(), 320u);
    EQUAL(last.marks.size(), 1u);
    EQUAL(last.marks[0].samples, 960);
    playout.set_rate(8000, 1000);
    EQUAL(write(playout, 2, speech(160)), 160u);
    EQUAL(pull(playout).pcm.size(), 160u);
}

// The promise everything else rests on, with the clock and the writer at full speed: of every utterance, the samples
// that left are those that its end or its flush reported.
TEST("heard samples are exact while one thread sends and another writes and clears") {
    Playout playout;
    open(playout, 200);
    std::atomic<bool> done{false};
    std::map<int16_t, int64_t> sent, finished;
    int64_t disorder = 0;
    std::thread clock([&] {
        int16_t pcm[kFrame];
        PlayoutMark marks[8];
        size_t count = 0;
        int16_t last = 0;
        for (bool more = true; more;) {
            more = !done;
            const size_t filled = playout.pull(pcm, kFrame, marks, 8, count);
            for (size_t i = 0; i < filled; ++i) {
                ++sent[pcm[i]];
                disorder += pcm[i] < last;
                last = pcm[i];
            }
            for (size_t i = 0; i < count; ++i)
                if (marks[i].kind == Transition::kFinished)
                    finished[static_cast<int16_t>(marks[i].utterance_id)] += marks[i].samples;
        }
        while (playout.pull(pcm, kFrame, marks, 8, count) > 0 || count > 0) {
        }
    });
    std::mt19937 random(1);
    std::map<int16_t, int64_t> cut;
    std::vector<int16_t> ended;
    for (int16_t id = 1; id < 4000; ++id) {
        const std::vector<int16_t> pcm(random() % 700 + 1, id);
        for (size_t taken = 0; taken < pcm.size();)
            taken += playout.write(static_cast<uint32_t>(id), pcm.data() + taken, pcm.size() - taken);
        if (random() % 4 != 0) {
            playout.end(static_cast<uint32_t>(id));
            ended.push_back(id);
        }
        if (random() % 3 == 0)
            for (const Heard &heard : playout.clear())
                cut[static_cast<int16_t>(heard.utterance_id)] = heard.heard_samples;
        if (random() % 5 == 0)
            playout.progress();
    }
    for (const Heard &heard : playout.clear())
        cut[static_cast<int16_t>(heard.utterance_id)] = heard.heard_samples;
    done = true;
    clock.join();
    EQUAL(disorder, 0);
    int64_t wrong = 0, twice = 0;
    for (int16_t id = 1; id < 4000; ++id) {
        const bool was_cut = cut.count(id) > 0, was_finished = finished.count(id) > 0;
        twice += was_cut && was_finished;
        if (was_cut)
            wrong += sent[id] != cut[id];
        else if (was_finished)
            wrong += sent[id] != finished[id];
    }
    EQUAL(wrong, 0);
    EQUAL(twice, 0);
}

TEST("a rewound utterance goes on with what was sent last, and its end is told once") {
    Playout playout;
    open(playout);
    const auto pcm = speech(5000);
    write(playout, 1, pcm);
    playout.end(1);
    for (int i = 0; i < 20; ++i) // 3200: a chunk has been read whole
        pull(playout);
    EQUAL(playout.rewind(400), 400u);
    EQUAL(playout.progress()->heard_samples, 2800);
    EQUAL(playout.queued(), 2200);
    std::vector<int16_t> sent;
    std::vector<PlayoutMark> marks;
    for (Pulled frame = pull(playout); !frame.pcm.empty(); frame = pull(playout)) {
        CHECK(!playout.was_cleared());
        sent.insert(sent.end(), frame.pcm.begin(), frame.pcm.end());
        marks.insert(marks.end(), frame.marks.begin(), frame.marks.end());
    }
    CHECK(sent == std::vector<int16_t>(pcm.begin() + 2800, pcm.end()));
    EQUAL(marks.size(), 1u);
    CHECK(marks[0].kind == Transition::kFinished && marks[0].samples == 5000);
}

TEST("what was sent is kept for rewinding, 400 ms of it, and only of the utterance under way") {
    Playout playout;
    open(playout, 2000);
    write(playout, 1, speech(8000));
    for (int i = 0; i < 45; ++i) // 7200
        pull(playout);
    write(playout, 1, speech(100)); // gives back what was read
    EQUAL(playout.rewind(8000), 3200u);
    const Pulled frame = pull(playout);
    CHECK(frame.pcm[0] == 4000);
    playout.clear();
    EQUAL(playout.rewind(400), 0u);
    write(playout, 2, speech(100));
    playout.end(2);
    write(playout, 3, speech(300));
    pull(playout); // 100 of utterance 2, 60 of 3
    EQUAL(playout.rewind(400), 60u);
    pull(playout);
    pull(playout);
    playout.end(3);
    EQUAL(playout.rewind(400), 0u); // all of it has been sent, and is told finished
    CHECK(pull(playout).marks.size() == 1u);
}

TEST("clearing after a rewind tells what was sent up to where it went on") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(2000));
    for (int i = 0; i < 5; ++i)
        pull(playout);
    playout.rewind(320);
    pull(playout);
    const auto cut = playout.clear();
    EQUAL(cut.size(), 1u);
    EQUAL(cut[0].heard_samples, 640);
    EQUAL(cut[0].discarded_samples, 1360);
    CHECK(pull(playout).pcm.empty());
    write(playout, 2, speech(10));
    EQUAL(pull(playout).pcm.size(), 10u);
}

TEST("a new rate forgets what was sent at the old one") {
    Playout playout;
    open(playout);
    write(playout, 1, speech(2000));
    for (int i = 0; i < 5; ++i)
        pull(playout);
    playout.set_rate(16000, 1000);
    EQUAL(playout.rewind(320), 0u);
    pull(playout, 320);
    EQUAL(playout.rewind(640), 320u);
}
