# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns: a list, a policy and an agent; everybody on the list is called as the policy says, and nobody twice.

lists (numbers), read by a process of its own (importing) ──> contacts in the store (gateway/store/campaigns.py)
runner ── one drive for each campaign: claims contacts that are due (windows), as many as pacing, budget and slots allow
             └─ calling: one attempt (gateway/store/attempts.py), dialled by a line (gateway/calls/campaign_line.py)
                  └─ classify: outcome ── retry: again? ── extraction: what came of it
outcomes ──> events (telling), results, report
control, runner < gateway/api/campaigns.py < gateway/client/campaigns.py < gateway/commands/campaign.py

The store decides: what is due, claimed and over stands there and nowhere else, so that gateways may die and share.
"""
