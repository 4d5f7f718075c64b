# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in the media plane.

MediaError
├── MediaMisuse        the caller of this package is wrong (an unsupported rate, a closed leg)
└── AudioFileError     a file that should hold audio does not
"""


class MediaError(Exception):
    """Root of every error this package raises."""


class MediaMisuse(MediaError, ValueError):
    """An argument or a call at a wrong time: a bug on our side of the interface."""


class AudioFileError(MediaError):
    """A WAV file that cannot be read or written; the message names the file and what is wrong with it."""
