"""What can go wrong, in words a person can act on.

Every error names what was found, why it is a problem and what to do.  Fronts print ``str(error)`` and no
traceback; a traceback always means a defect in Inkwash.
"""


class InkwashError(Exception):
    """Base of every error that a person, not a programmer, can mend.

    message: what is wrong, naming the file or field.  remedy: what to do about it, one sentence.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class InvalidRequest(InkwashError):
    """A field of a request has a value that cannot be drawn.  field: its name where one is to blame."""

    def __init__(self, message: str, remedy: str = "", field: str | None = None) -> None:
        super().__init__(message, remedy)
        self.field = field


class ModelNotFound(InkwashError):
    """No model of that name, title or hash in the folders that were searched."""


class UnsupportedModel(InkwashError):
    """The file is sound, but not a model this version can run."""


class MissingLibrary(InkwashError):
    """What was asked for needs a library that is not installed with Inkwash."""


class DamagedFile(InkwashError):
    """A file's bytes contradict its format, or it could harm the machine; it was refused unread."""


class OutOfMemory(InkwashError):
    """The machine has too little memory for this request."""


class Enough(InkwashError):
    """The person is content with the picture as it stands.  Raised by a progress callback at a ``Step``, it ends that
    picture alone: what the model sees in it by then is decoded and told as ``Drawn``.
    """

    def __init__(self, message: str = "Ended early.", remedy: str = "") -> None:
        super().__init__(message, remedy)


class Cancelled(InkwashError):
    """The person asked to stop.  Raise it from a progress callback to cancel within one step."""

    def __init__(self, message: str = "Cancelled.", remedy: str = "") -> None:
        super().__init__(message, remedy)
