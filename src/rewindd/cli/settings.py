"""What the global options said."""


class Settings:
    """What the global options say; the last one given counts. Written while the command line is read, read afterwards."""

    __slots__ = ("directory", "json", "quiet", "session", "socket", "verbose")

    def __init__(self) -> None:
        self.socket: str | None = None
        self.directory: str | None = None
        self.session: str | None = None
        self.json = False
        self.quiet = False
        self.verbose = False
