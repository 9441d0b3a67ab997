"""What can go wrong between us and a backend. A container that cannot start is none of it: that is an observation."""

from __future__ import annotations


class BackendError(Exception):
    """The root."""


class Unavailable(BackendError):
    """The backend did not answer, or said that it cannot now. What was asked may have happened: ask the same again."""


class BadSettings(BackendError):
    """A node's settings cannot be used; the message is one sentence for the operator."""
