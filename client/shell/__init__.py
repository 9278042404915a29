"""The `znode` shell: zkCli's commands and more, one and out, from a pipe, or interactive (docs/shell.md)."""
