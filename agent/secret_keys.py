# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that a caller presses and that nobody shall see but who is to check them: a PIN, a card number."""

_MAX_KEYS = 64


class SecretKeys:
    """Those of one call. A secret key is shown as `*`; `#` ends an entry and tells nothing, so it is shown as it is."""

    def __init__(self, always: bool) -> None:
        """`always`: every key of the call is secret."""
        self._always = always
        self._next_are_secret = False
        self._length = 0
        self._kept = ""

    @property
    def are_kept(self) -> bool:
        """Whether a key that is pressed now is secret."""
        return self._always or self._next_are_secret

    def press(self, digit: str, *, secret: bool) -> str:
        """Take a key; return what may be shown of it. `secret`: somebody else says that it is."""
        if not (secret or self.are_kept) or digit == "#":
            return digit
        self._kept = (self._kept + digit)[-_MAX_KEYS:]
        return "*"

    def take(self) -> str:
        """The secret keys since this was last asked, at most 64."""
        kept, self._kept = self._kept, ""
        return kept

    def keep_next(self, are_secret: bool, length: int | None) -> None:
        """Whether the keys of the next entry are secret. It is over with its last key: when so many were pressed (None:
        when the caller makes a pause), not when the caller says something in between or hesitates."""
        self._next_are_secret = are_secret
        self._length = length or 0

    def receive_entry(self) -> None:
        """The caller has made a pause after pressing keys."""
        if len(self._kept) >= self._length:
            self._next_are_secret = False
