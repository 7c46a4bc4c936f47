"""How messages get onto a socket fast. The protocol is in `realtime`, who watches what in `broker`."""
