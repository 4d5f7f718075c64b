# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted services of the configuration: from `[services.NAME]` to the clients that agents share.

[services.NAME] > kinds (which client does that role?) > faults, before anything starts
                > opening: clients, chains of them, connections kept warm > metering > agents
                > probes: a real round trip of each, for `parley doctor --services`
"""

from gateway.services.faults import service_faults
from gateway.services.opening import Services, open_services

__all__ = ["Services", "open_services", "service_faults"]
