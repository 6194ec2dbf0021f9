"""Ten thousand connections: the server process, the client process, and what the two exchange."""
