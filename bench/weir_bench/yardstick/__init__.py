"""What a bare prototype costs on this machine: the yardstick by which the bounds were set, measured where they are judged."""
