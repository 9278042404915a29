"""Raft by PySyncObj, made durable: its log and its messages are ours."""
