# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in the media plane.

MediaError
├── MediaMisuse        the caller of this package is wrong (an unsupported rate, a closed leg)
├── AudioFileError     a file that should hold audio does not
├── WrongKey           the encryption key is not the one this was sealed with, or is missing
└── SealBroken         what was encrypted has been changed, reordered or cut
"""


class MediaError(Exception):
    """Root of every error this package raises."""


class MediaMisuse(MediaError, ValueError):
    """An argument or a call at a wrong time: a bug on our side of the interface."""


class AudioFileError(MediaError):
    """An audio file that cannot be read or written; the message says what is wrong with it."""


class WrongKey(MediaError):
    """Something is encrypted and cannot be read with the key at hand; the message says which of the two it is."""


class SealBroken(MediaError):
    """Something encrypted is not as it was written; the message says where."""
