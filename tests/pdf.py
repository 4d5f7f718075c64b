# SPDX-License-Identifier: GPL-3.0-or-later
"""PDF files with text in them, for who reads them."""


def pdf_of(pages: list[list[str]], width: int = 80) -> bytes:
    """A PDF 1.4 with these lines in Helvetica, broken at `width` letters (ISO 32000-1, 7.5 and 9.4)."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        text = b"".join(b"(" + _escaped(part) + b") ' " for line in lines for part in _broken(line, width))
        stream = b"BT /F1 11 Tf 14 TL 60 780 Td " + text + b"ET"
        objects.append(b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream")
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids),
        b" ".join(b"%d 0 R" % kid for kid in kids),
    )
    body, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(body)


def _broken(line: str, width: int) -> list[str]:
    parts, part = [], ""
    for word in line.split():
        if part and len(part) + len(word) >= width:
            parts.append(part)
            part = ""
        part = f"{part} {word}".strip()
    return [*parts, part]


def _escaped(text: str) -> bytes:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1", "replace")
