"""The base class of errors that people can mend."""


class UserError(ValueError):
    """A mistake that people can mend; the message is one line."""
