"""HTTP REST on the client port: the contract of ZooKeeper's gateway, and beyond (docs/http.md)."""
