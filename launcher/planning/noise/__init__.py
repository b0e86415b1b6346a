"""The gradient noise scale: what two squared norms say of it, how well it is known, and what batches it speaks for."""
