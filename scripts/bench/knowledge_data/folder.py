# SPDX-License-Identifier: GPL-3.0-or-later
"""The fifty pages as a folder: Markdown, HTML and CSV as they are, PDFs made of their texts."""

import shutil
from pathlib import Path

from tests.pdf import pdf_of

HERE = Path(__file__).parent


def build_folder(folder: Path) -> Path:
    """Write all pages; return the folder."""
    shutil.copytree(HERE / "pages", folder, dirs_exist_ok=True)
    for text in sorted((HERE / "pdf_text").glob("*.txt")):
        pages = [page.strip("\n").split("\n") for page in text.read_text().split("----\n")]
        (folder / f"{text.stem}.pdf").write_bytes(pdf_of(pages))
    return folder
