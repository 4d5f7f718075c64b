# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed files: they open as they were written, break off without being refused, and show every change."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.encryption import EncryptionKey
from media.errors import AudioFileError, SealBroken, WrongKey
from media.sealed import MAX_CHUNK_BYTES, SealedFile, SealedHeader, Sealer
from tests.media.decoder import KEY, OTHER_KEY

PIECES = (b"a" * 100, b"b" * 50, b"c" * 100, b"d" * 50)
CLEAR = b"".join(PIECES)


def sealed(pieces: tuple[bytes, ...] = PIECES, *, name: str = "call_1", ended: bool = True) -> list[bytes]:
    """Header, then a chunk for each piece, and the end."""
    sealer = Sealer(KEY, ".wav", name)
    parts = [sealer.header, *(sealer.seal(piece) for piece in pieces)]
    return [*parts, sealer.seal(b"", last=True)] if ended else parts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call_1.wav.enc"


def read(path: Path, content: bytes, start: int = 0, end: int | None = None) -> tuple[bytes, bool]:
    path.write_bytes(content)
    file = SealedFile(path, KEY)
    try:
        return b"".join(file.read(start, end)), file.is_whole
    finally:
        file.close()


def test_what_was_sealed_opens_and_is_nowhere_in_clear(path: Path) -> None:
    content = b"".join(sealed())
    assert read(path, content) == (CLEAR, True)
    assert b"aaa" not in content
    file = SealedFile(path, KEY)
    assert (file.header.name, file.header.content, file.size) == ("call_1", ".wav", len(CLEAR))
    file.close()


def test_the_same_sound_sealed_twice_has_nothing_in_common() -> None:
    first, second = b"".join(sealed()), b"".join(sealed())
    assert first[48:] != second[48:]
    assert not set(sealed()[1:]) & set(sealed()[1:])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 310), st.integers(0, 310))
def test_any_part_can_be_read_alone(tmp_path_factory: pytest.TempPathFactory, start: int, end: int) -> None:
    path = tmp_path_factory.getbasetemp() / "part.enc"
    assert read(path, b"".join(sealed()), start, min(end, len(CLEAR)))[0] == CLEAR[start:end]


def test_a_long_piece_becomes_chunks_that_a_reader_can_hold(path: Path) -> None:
    long = bytes(range(256)) * (MAX_CHUNK_BYTES // 256 * 2 + 1)
    path.write_bytes(b"".join(sealed((long,))))
    file = SealedFile(path, KEY)
    pieces = list(file.read())
    file.close()
    assert b"".join(pieces) == long
    assert max(map(len, pieces)) == MAX_CHUNK_BYTES


def test_nobody_can_make_a_cut_file_look_whole(path: Path) -> None:
    parts = sealed()
    last_kept = bytearray(parts[3])
    last_kept[3] |= 0x80
    with pytest.raises(SealBroken):
        read(path, b"".join([*parts[:3], last_kept]))


def test_wherever_it_breaks_off_the_whole_chunks_before_are_read_and_it_says_so(path: Path) -> None:
    parts = sealed()
    content = b"".join(parts)
    ends = list(itertools.accumulate(map(len, parts)))
    for cut in range(ends[0], len(content)):
        whole_chunks = sum(end <= cut for end in ends) - 1
        assert read(path, content[:cut]) == (b"".join(PIECES[:whole_chunks]), False)


def test_every_changed_bit_is_noticed_or_makes_the_file_shorter(path: Path) -> None:
    content = b"".join(sealed())
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x40
        try:
            clear, is_whole = read(path, bytes(changed))
        except (SealBroken, WrongKey, AudioFileError):
            continue
        # A length that points beyond the end looks like a file that was cut there: nothing false is read.
        assert not is_whole
        assert CLEAR.startswith(clear)


@pytest.mark.parametrize(
    "change",
    [
        lambda parts, other: [parts[0], parts[2], parts[1], *parts[3:]],
        lambda parts, other: [parts[0], parts[1], parts[1], *parts[2:]],
        lambda parts, other: [parts[0], parts[1], *parts[3:]],
        lambda parts, other: [*parts[:2], other[2], *parts[3:]],
        lambda parts, other: [other[0], *parts[1:]],
        lambda parts, other: [parts[0].replace(b"call_1", b"call_2"), *parts[1:]],
        lambda parts, other: [*parts, parts[1]],
        lambda parts, other: [parts[0], parts[-1]],
    ],
    ids=["reordered", "repeated", "left out", "swapped", "other header", "renamed", "appended", "emptied"],
)
def test_chunks_that_were_moved_about_are_refused(path: Path, change: object) -> None:
    assert callable(change)
    content = b"".join(change(sealed(), sealed()))
    with pytest.raises(SealBroken, match=r"call_1\.wav\.enc"):
        read(path, content)


@pytest.mark.parametrize(("key", "said"), [(None, "set store.encryption_key"), (OTHER_KEY, OTHER_KEY.key_id.hex())])
def test_a_missing_or_other_key_is_said(path: Path, key: EncryptionKey | None, said: str) -> None:
    path.write_bytes(b"".join(sealed()))
    with pytest.raises(WrongKey, match=said):
        SealedFile(path, key)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF and so on", b"PARLEYR1", sealed()[0][:-1]], ids=["empty", "wav", "short", "shortened"]
)
def test_a_file_that_is_none_of_ours_is_said(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"call_1\.wav\.enc"):
        SealedFile(path, KEY)


def test_a_file_that_grows_is_read_as_it_was_when_it_was_opened(path: Path) -> None:
    parts = sealed(ended=False)
    path.write_bytes(b"".join(parts[:3]))
    file = SealedFile(path, KEY)
    with path.open("ab") as more:
        more.write(b"".join(parts[3:]))
    assert b"".join(file.read()) == b"".join(PIECES[:2])
    file.close()


def test_the_header_reads_back_as_it_was_packed() -> None:
    header = SealedHeader(b"k" * 8, b"s" * 32, ".ogg", "call_ä")
    assert SealedHeader.parse(header.pack() + b"more") == header
