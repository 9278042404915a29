"""Puts opaque transactions into one order on a majority."""
