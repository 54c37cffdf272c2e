"""What a decision may look at (A8)."""
