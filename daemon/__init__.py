"""One server, put together: configuration, the server core, process, signals."""
