# SPDX-License-Identifier: GPL-3.0-or-later
"""The offline engines as they are: real models, real prompts, real threads."""
