// SPDX-License-Identifier: GPL-3.0-or-later
// The thread that takes RTP off the sockets, in place of PJMEDIA's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

struct pjmedia_endpt;

namespace parley {

// PJMEDIA's worker sleeps and wakes for every packet: at thousands of packets a second that costs more than handling
// them. This one, once packets come closer together than kGather_ns, looks only that often and takes what has gathered,
// as a network card's interrupt moderation does. Streams are read every 10 ms or less often, so nothing is heard later;
// with few calls every packet is still taken at once.
class RtpReceiver {
  public:
    static constexpr int64_t kGather_ns = 1'000'000;

    ~RtpReceiver() { stop(); }

    void start(pjmedia_endpt *endpoint); // also ends the endpoint's own workers
    void stop();

  private:
    void run(pjmedia_endpt *endpoint);

    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

} // namespace parley
