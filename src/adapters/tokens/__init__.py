"""Where the keys come from that tokens are verified with."""
