"""The base class of errors that people can mend, and the one of code that they bring."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that people can mend; the message is one line."""


class TaskCodeError(UserError):
    """A user's own task or environment failed, or returned what it must not.

    The message names the method, the situation where it is known, and the line. No file of a run is
    to blame: once the code is mended, the run goes on.
    """
