# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages for operators, each one file without foreign parts; `gateway.api.console` serves them."""
