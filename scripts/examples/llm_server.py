# SPDX-License-Identifier: GPL-3.0-or-later
"""A language model of one's own behind HTTP: llama.cpp's server, out of a wheel from PyPI (pip install xllamacpp).

    python llm_server.py --model MODEL.gguf [--port 8090] [--host 127.0.0.1] [--callers 2] [--threads 2]

It speaks chat completions, Responses and Anthropic's messages: kinds `openai`, `openai_responses` and `anthropic` of
`[services]`. With LLM_SERVER_KEY in the environment, clients must know that key.
"""

import argparse
import os
import signal

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description="llama.cpp's server: language models for Parley.")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0: any that is free (default %(default)s)")
    parser.add_argument("--callers", type=int, default=2, help="answers at a time (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="default %(default)s")
    parser.add_argument("--context", type=int, default=4096, help="tokens of a conversation (default %(default)s)")
    options = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.n_parallel = options.callers
    params.n_ctx = options.context * options.callers
    params.cpuparams.n_threads = options.threads
    params.use_jinja = True  # the model's own template
    params.verbosity = 1
    if key := os.environ.get("LLM_SERVER_KEY"):
        params.api_keys = [key]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # in the server's threads, too
    server = xllamacpp.Server(params)
    print(f"ready {server.listening_address}/v1", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    os._exit(0)  # nothing to save; the library's threads need not be waited for


if __name__ == "__main__":
    main()
