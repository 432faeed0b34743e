"""The one kind of error that the stand tells its user about."""


class StandError(Exception):
    """One line that says what is wrong and what to do; the command prints it and ends with exit code 2."""


class PortTakenError(StandError):
    """Another program took the port between its choice and its use: another port may be tried."""
