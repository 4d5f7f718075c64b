# SPDX-License-Identifier: GPL-3.0-or-later
"""The way into a cluster: Kamailio before the nodes' SIP, rtpengine before their RTP. Both are others' work; we set
them up and keep them informed.

config > routing.cfg, kamailio, rtpengine > plan ------------> `parley edge config`: files for the two
Redis > cluster.roll > dispatcher > follow > kamailio_rpc ---> `parley edge follow`: which nodes take calls
                             rtpengine_ng > telemetry.edge --> metrics of nodes and regions
"""
