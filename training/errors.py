"""The error of pictures that cannot be trained on."""


class DataError(ValueError):
    """A folder that cannot be trained on; the message says why, and what to do."""
