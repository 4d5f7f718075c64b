# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway as its users meet it: a process, called by SIPp, baresip and the softphone over loopback."""
