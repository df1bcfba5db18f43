"""What can go wrong with a download.

DownloadError                 exit code 1
├── Temporary                 the same request may succeed a moment later
│   ├── Unreachable           3: nobody answered
│   ├── Interrupted           the answer broke off, or came too slowly
│   └── Busy                  429 or 5xx
├── Refused                   the server answered, and the answer is no
├── Changed                   the server's file is not the one that it described
├── Corrupted                 the checksum was wrong twice
├── InTheWay                  something on this machine's disk
├── NoSpace                   4: the disk is too full
└── LicenceNotAccepted        5
"""


class DownloadError(Exception):
    """Its text is for the person at the terminal: what happened, then what to do."""

    exit_code = 1


class Temporary(DownloadError):
    """`retry_after`: seconds that the server asked for, None when it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Temporary):
    """No connection: no DNS, refused, timed out, or a proxy that does not let it through."""

    exit_code = 3


class Interrupted(Temporary):
    """The connection broke, or brought too little in its time."""


class Busy(Temporary):
    """The server says that it cannot answer now."""


class Refused(DownloadError):
    """403, 404 and the like, or an answer that cannot be used."""


class Changed(DownloadError):
    """Another size than described, or a condition on the ETag that failed: what came so far is of no use."""


class Corrupted(DownloadError):
    """The bytes that came, twice, are not those of the checksum."""


class InTheWay(DownloadError):
    """A file of another content, a folder that cannot be written, or another process at the same file."""


class NoSpace(DownloadError):
    exit_code = 4


class LicenceNotAccepted(DownloadError):
    exit_code = 5
