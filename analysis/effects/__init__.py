"""What breaks without a head, and what comes back with one."""
