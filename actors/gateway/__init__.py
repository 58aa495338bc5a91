"""The gateway: conversations over WebSockets, as an ASGI application on the embedding API."""
