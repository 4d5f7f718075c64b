# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns: a list, a policy and an agent; everybody on the list is called as the policy says, and nobody twice.

list file > lists (numbers, do_not_call) > contacts in the store
store > runner: windows, pacing, retry say whom and when > attempt (written ahead, dialled, followed) > outcome
outcome > store > events, results, report
"""
