"""What the matrix and the rules ask for, before it becomes a plan: filled by `hub.core.matrix`, changed by rules."""
