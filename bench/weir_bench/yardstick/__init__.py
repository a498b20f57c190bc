"""What decoding and appending alone cost on this machine, beside what a like prototype took where the bounds were set."""
