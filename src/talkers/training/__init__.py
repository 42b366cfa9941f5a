"""Training: corpus -> avatar, one module a stage."""
