# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway as its users meet it: a process, called by SIPp, baresip and the softphone over loopback.

Processes of ours are forked by `nursery`, which saves most of what their start costs; those of the sanitizer build
(`sanitizer`), of scripts/bench and of tests that run a command as one types it are begun from nothing.
"""
