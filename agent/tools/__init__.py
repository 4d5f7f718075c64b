# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model may do besides talking.

    [agents.NAME] tools ──> Toolbox: builtin, webhook, sms, openapi, mcp ──> ToolSpec, to the model
    the model asks ──> ToolRunner (arguments checked, timeout, result trimmed, history, event) ──> Tool.run(OnCall)

Results are data from outside: they go to the model as such, and what it may do with them (transfer, SMS) is limited by
the configuration, never by the prompt. Arguments may hold personal data: neither logs nor events have them.
"""
