// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a fuzz target over inputs in hexadecimal, one a line, # begins a comment. For compilers without libFuzzer.
#include <cctype>
#include <fstream>
#include <iostream>
#include <string>

#include "expect.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    size_t inputs = 0;
    for (int file = 1; file < argc; ++file) {
        std::ifstream lines(argv[file]);
        for (std::string line; std::getline(lines, line);) {
            Bytes bytes;
            std::string digits;
            for (const char c : line.substr(0, line.find('#')))
                if (std::isxdigit(static_cast<unsigned char>(c)))
                    digits += c;
            if (digits.empty())
                continue;
            for (size_t i = 0; i + 1 < digits.size(); i += 2)
                bytes.push_back(static_cast<uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
            LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
            ++inputs;
        }
    }
    std::cout << inputs << " inputs\n";
    return inputs > 0 ? 0 : 1;
}
