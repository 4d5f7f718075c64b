# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent knows: documents > entries > an index that is searched by meaning and by words.

folders, URLs > sources (what has changed?) > reading (a child process) > markdown, html_page, csv_rows, pdf > Section
Section > passages > Entry (what is said and cited) > vectors (kept on the disk) > index (one version, immutable)
library      Knowledge: the index in force, exchanged when documents change; begin here
context      the same for language models
"""

__all__: list[str] = []
