"""The learning rate in another stack's own scheduler: compiled into its words, drawn step by step, compared. Pure."""
