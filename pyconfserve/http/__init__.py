"""How configuration travels: messages, HTTP/1.1, access, routes, the listener."""
