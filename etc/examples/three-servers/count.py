"""A client that counts in a znode of its own, five seconds long, whichever server leads."""

import time

from kazoo.client import KazooClient

client = KazooClient("127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183")
client.start()
client.create("/counter", ephemeral=True)
for count in range(1, 51):
    client.retry(client.set, "/counter", b"%d" % count)
    time.sleep(0.1)
print("counted to", client.get("/counter")[0].decode())
client.stop()
