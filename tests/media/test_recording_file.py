# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of every kind: as long as the call, played by another program, also after kill -9 or on a full disk."""

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Condition

import numpy as np
import pytest

from media.encryption import EncryptionKey
from media.frames import FrameFlags, PcmFrame
from media.recorder import Recorder, Recording, RecordingWriter
from media.recording_file import RecordingFile, RecordingFormat, recording_suffix
from media.recording_source import RecordingSource
from tests.media.decoder import KEY, played
from tests.media.sound import frames, noise

KINDS: list[tuple[RecordingFormat, EncryptionKey | None]] = [
    ("wav", None),
    ("opus", None),
    ("wav", KEY),
    ("opus", KEY),
]
of_every_kind = pytest.mark.parametrize(("form", "key"), KINDS, ids=["wav", "opus", "wav.enc", "ogg.enc"])


def file_of(folder: Path, form: RecordingFormat, key: EncryptionKey | None) -> Path:
    return folder / f"call_1{recording_suffix(form, encrypted=key is not None)}"


def closed(recorder: Recorder) -> Recording:
    closing = recorder.close()
    assert recorder.write()
    return closing.result(timeout=0)


@of_every_kind
@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_another_program_plays_it_and_the_tracks_are_in_place(
    tmp_path: Path, form: RecordingFormat, key: EncryptionKey | None, rate_hz: int
) -> None:
    path = file_of(tmp_path, form, key)
    writer = RecordingWriter(form, key)
    assert path.name == f"call_1{writer.suffix}"
    recorder = writer.open(path, rate_hz)
    voice, silence = noise(1.5, rate_hz, -20), np.zeros(rate_hz * 3 // 2, np.int16)
    for frame in (*frames(voice, rate_hz), *frames(silence, rate_hz, start=len(voice))):
        recorder.caller(frame)
    for frame in (*frames(silence, rate_hz), *frames(voice, rate_hz, start=len(voice))):
        recorder.agent(frame)
    writer.close()
    assert recorder.close().result(timeout=0).duration_s == 3.0
    content, decoded_hz = played(path, key)
    assert len(content) == 3 * decoded_hz
    power = (content.astype(float).reshape(2, -1, 2) ** 2)[:, 2000:-2000].mean(axis=1)
    assert power[0, 0] > 100 * power[0, 1]
    assert power[1, 1] > 100 * power[1, 0]
    assert (b"RIFF" in path.read_bytes()[:8]) == (path.suffix == ".wav")
    assert (b"OggS" in path.read_bytes()[:8]) == (path.suffix == ".ogg")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("form", ["wav", "opus"])
def test_ten_minutes_of_a_bad_line_are_as_long_as_the_call(tmp_path: Path, form: RecordingFormat) -> None:
    """Caller frames lag by up to 300 ms and come in bunches, some concealed; the codec changes; then a hold; the
    position alone says where they belong. A beep every ten seconds shows that none has moved."""
    path = file_of(tmp_path, form, None)
    recorder = Recorder(RecordingFile(path, 8000, form, None), 8000, Condition())
    jitter = random.Random(3)
    waiting: list[tuple[float, PcmFrame]] = []
    for tick in range(600 * 50):
        at_s = tick / 50
        rate_hz = 8000 if at_s < 200 else 16000
        count = rate_hz // 50
        beep = (np.full(count, 8000) * (-1) ** (np.arange(count) // 8)).astype("<i2").tobytes()
        pcm = beep if tick % 500 < 5 else bytes(2 * count)
        position = round(at_s * rate_hz)
        if not 300 <= at_s < 400:  # on hold nothing comes and nothing goes
            if tick % 100 != 77:  # a frame that is missing altogether
                flags = FrameFlags.CONCEALED if tick % 50 == 7 else FrameFlags.NONE
                frame = PcmFrame(pcm, rate_hz, position, at_s, flags)
                due_s = max(at_s + jitter.uniform(0, 0.3), waiting[-1][0] if waiting else 0.0)
                waiting.append((due_s, frame))
            recorder.agent(PcmFrame(pcm, rate_hz, position, at_s))
        while waiting and waiting[0][0] <= at_s:
            recorder.caller(waiting.pop(0)[1])
        if tick % 13 == 0:
            recorder.write()
    for _, frame in waiting:
        recorder.caller(frame)
    recording = closed(recorder)
    assert abs(recording.duration_s - 600) <= 0.02
    content, rate_hz = played(path)
    assert abs(len(content) / rate_hz - 600) <= 0.02
    for channel in content.T:
        for second in (0, 100, 250, 290, 400, 410, 590):
            around = np.abs(channel[max(0, second - 1) * rate_hz : (second + 1) * rate_hz].astype(float)) > 3000
            onset_s = int(np.argmax(around)) / rate_hz - min(second, 1)
            assert around.any(), second
            assert abs(onset_s) <= 0.02, second
    assert recording.complete


KILLED = """
import sys
from pathlib import Path
import numpy as np
from media.frames import PcmFrame
from media.recorder import RecordingWriter
from tests.media.decoder import KEY
writer = RecordingWriter(sys.argv[2], KEY if sys.argv[3] == "sealed" else None)
recorder = writer.open(Path(sys.argv[1]), 8000)
voice = np.random.default_rng(1).integers(-3000, 3000, 160).astype("<i2").tobytes()
for index in range(400):
    recorder.agent(PcmFrame(voice, 8000, index * 160, 0.0))
    recorder.caller(PcmFrame(voice, 8000, index * 160, 0.0))
print("given", flush=True)
sys.stdin.read()
"""


@of_every_kind
def test_a_process_that_is_killed_leaves_a_playable_file(
    tmp_path: Path, form: RecordingFormat, key: EncryptionKey | None
) -> None:
    path = file_of(tmp_path, form, key)
    command = [sys.executable, "-c", KILLED, str(path), form, "sealed" if key else "clear"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"given\n"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not _holds(path, key, seconds=7):
            time.sleep(0.02)  # another process's file: there is nothing to wait on but its content
        process.send_signal(signal.SIGKILL)
        process.wait()
    content, rate_hz = played(path, key)
    assert 7 <= len(content) / rate_hz <= 8.02  # 8 s were given; a second may be missing
    assert (np.abs(content[: 6 * rate_hz].astype(float)).reshape(6, -1).mean(axis=1) > 300).all()
    with RecordingSource(path, key) as source:
        assert source.is_truncated == (key is not None)


def _holds(path: Path, key: EncryptionKey | None, seconds: int) -> bool:
    try:
        content, rate_hz = played(path, key)
    except Exception:  # there is no file yet, or no page of audio in it
        return False
    return len(content) >= seconds * rate_hz


FULL = """
import json, resource, sys
from pathlib import Path
import numpy as np
from structlog.testing import capture_logs
from media.frames import PcmFrame
from media.recorder import RecordingWriter
from tests.media.decoder import KEY
resource.setrlimit(resource.RLIMIT_FSIZE, (20_001, 20_001))
with capture_logs() as lines:
    writer = RecordingWriter(sys.argv[2], KEY if sys.argv[3] == "sealed" else None)
    recorder = writer.open(Path(sys.argv[1]), 8000)
    voice = np.random.default_rng(1).integers(-3000, 3000, 160).astype("<i2").tobytes()
    for index in range(499):
        recorder.agent(PcmFrame(voice, 8000, index * 160, 0.0))
        recorder.caller(PcmFrame(voice, 8000, index * 160, 0.0))
    recording = recorder.close().result(timeout=20)
    recorder.agent(PcmFrame(bytes(320), 8000, 80000, 0.0))
    writer.close()
print(json.dumps([recording.complete, recorder.queued_samples, writer.stats().stopped,
                  [line["reason"] for line in lines if line["event"] == "recording_stopped"]]))
"""


@of_every_kind
def test_a_full_disk_ends_the_recording_once_and_leaves_what_fitted(
    tmp_path: Path, form: RecordingFormat, key: EncryptionKey | None
) -> None:
    path = file_of(tmp_path, form, key)
    command = [sys.executable, "-c", FULL, str(path), form, "sealed" if key else "clear"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == '[false, 0, 1, ["EFBIG"]]'
    if (form, key) == ("wav", KEY):
        return  # it came in one chunk, larger than the disk: the next test has smaller ones
    content, rate_hz = played(path, key)
    if form == "wav":
        assert len(content) == (20_001 - 44) // 4
        assert int.from_bytes(path.read_bytes()[40:44], "little") == len(content) * 4  # whole frames
    else:
        assert len(content) / rate_hz > 3


def test_on_a_full_disk_what_was_sealed_before_can_be_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, "wav", KEY)
    file = RecordingFile(path, 8000, "wav", KEY)
    recorder = Recorder(file, 8000, Condition())
    voice = noise(1.0, 8000, -20)
    for frame in frames(voice, 8000):
        recorder.caller(frame)
        recorder.agent(frame)
        recorder.write()
    os.truncate(path, path.stat().st_size - 7)  # as if the last write had not fitted
    content, _ = played(path, KEY)
    assert np.array_equal(content[:, 0], voice[: len(content)])
    assert len(content) == 8000 - 160
    file.stop()


def test_an_encrypted_wav_has_its_length_when_it_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, "wav", KEY)
    recorder = Recorder(RecordingFile(path, 8000, "wav", KEY), 8000, Condition())
    for frame in frames(noise(2.0, 8000, -20), 8000):
        recorder.caller(frame)
        recorder.write()
    closed(recorder)
    with RecordingSource(path, KEY, "call_1") as source:
        whole = b"".join(source.read())
        assert (source.size, source.media_type) == (len(whole), "audio/wav")
        assert int.from_bytes(whole[40:44], "little") == 2 * 8000 * 4 == len(whole) - 44
        for start, end in ((0, 10), (40, 50), (44, 100), (5, 44), (12345, 30000), (len(whole) - 3, len(whole))):
            assert b"".join(source.read(start, end)) == whole[start:end]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("key", [None, KEY], ids=["clear", "encrypted"])
def test_a_source_that_is_dropped_unread_keeps_no_descriptor(tmp_path: Path, key: EncryptionKey | None) -> None:
    path = file_of(tmp_path, "wav", key)
    closed(Recorder(RecordingFile(path, 8000, "wav", key), 8000, Condition()))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        RecordingSource(path, key).read()
    assert len(os.listdir("/proc/self/fd")) == before


HOUR = """
import sys
from pathlib import Path
from threading import Condition
from media.frames import PcmFrame
from media.recorder import Recorder
from media.recording_file import RecordingFile
from tests.media.decoder import KEY

def resident_kib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4

recorder = Recorder(RecordingFile(Path(sys.argv[1]) / "call.ogg.enc", 8000, "opus", KEY), 8000, Condition())
pcm = bytes(16000)
for second in range(3600):
    recorder.caller(PcmFrame(pcm, 8000, second * 8000, 0.0))
    recorder.agent(PcmFrame(pcm, 8000, second * 8000, 0.0))
    recorder.write()
    if second == 600:
        before = resident_kib()
print(resident_kib() - before)
"""


def test_memory_stays_flat_over_an_hour(tmp_path: Path) -> None:
    grown_kib = subprocess.run(
        [sys.executable, "-c", HOUR, str(tmp_path)], capture_output=True, text=True, timeout=100, check=True
    ).stdout
    assert int(grown_kib) < 4096
