// SPDX-License-Identifier: GPL-3.0-or-later
#include "check.hpp"

int main() {
    for (const check::Test &test : check::tests()) {
        const int before = check::failures();
        std::printf("%s\n", test.sentence);
        std::fflush(stdout);
        test.body();
        if (check::failures() != before)
            std::printf("  FAILED\n");
    }
    std::printf("%zu tests, %d failed checks\n", check::tests().size(), check::failures());
    return check::failures() == 0 ? 0 : 1;
}
