# SPDX-License-Identifier: GPL-3.0-or-later
"""Providers and PBXs: what is particular to each, and which one carries a call.

    sip_profiles/NAME.toml (`profile`, read by `profiles`) > [[trunk]] of parley.toml (`config`)
        > gateway.sip.settings > PJSIP
        > `numbers`, `identity`: how numbers are written, and who is said to call
        > `selection`, `health`, `tolls`, `destinations`: which of them carries a call, and whether one may
        > `dns`, `names`, `nameserver`: which servers they have

A quirk of a carrier is a field of `profile.TrunkProfile`; a trunk names its profile and may set any field itself.
"""

__all__: list[str] = []
