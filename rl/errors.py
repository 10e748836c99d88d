"""The one base class of errors that people can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that people can mend; the message is one line."""
