"""The room of the asyncio client, its recipes and the `znode` shell; other rooms never import it."""
