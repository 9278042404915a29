"""WebSockets on the client port: sessions, requests and watches in CBOR (docs/websocket.md)."""
