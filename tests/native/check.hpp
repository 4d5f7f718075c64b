// SPDX-License-Identifier: GPL-3.0-or-later
// Just enough of a test framework: sentences for names, checks that go on, a main() that counts.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace check {

struct Test {
    const char *sentence;
    std::function<void()> body;
};

inline std::vector<Test> &tests() {
    static std::vector<Test> all;
    return all;
}

inline int &failures() {
    static int count = 0;
    return count;
}

struct Register {
    Register(const char *sentence, std::function<void()> body) { tests().push_back({sentence, std::move(body)}); }
};

template <class A, class B> void equal(const A &got, const B &wanted, const char *what, const char *file, int line) {
    if (got == wanted)
        return;
    ++failures();
    std::printf("  %s:%d: %s is %s, not %s\n", file, line, what, std::to_string(got).c_str(),
                std::to_string(wanted).c_str());
}

inline void holds(bool condition, const char *what, const char *file, int line) {
    if (condition)
        return;
    ++failures();
    std::printf("  %s:%d: not so: %s\n", file, line, what);
}

} // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(sentence)                                                                                                 \
    static void CHECK_JOIN(test_, __LINE__)();                                                                         \
    static const check::Register CHECK_JOIN(registered_, __LINE__){sentence, CHECK_JOIN(test_, __LINE__)};             \
    static void CHECK_JOIN(test_, __LINE__)()
#define CHECK(condition) check::holds((condition), #condition, __FILE__, __LINE__)
#define EQUAL(got, wanted) check::equal((got), (wanted), #got, __FILE__, __LINE__)
