# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad networks on loopback, the same ones every time.

`impairment` decides each packet's fate from a seed; `relay` is a process between a caller and Parley that carries it
out; `bundle` places calls through a relay and keeps what was sent and heard (for scripts/bench/network).
"""
