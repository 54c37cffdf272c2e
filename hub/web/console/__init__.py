"""What people see in a browser: the console and the guided set-up (U2, H12, X1)."""
