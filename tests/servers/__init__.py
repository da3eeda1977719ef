"""Real servers that tests start, kill and restart. One module per server; nothing here is imported by the product."""


class ServerUnavailable(RuntimeError):
    """A server cannot be had on this machine; the text names what is missing and the command that installs it."""
