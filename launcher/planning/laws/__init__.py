"""What published laws would choose for a batch and a learning rate: one module for each, and all of them side by side.

Advice only: nothing here ever changes a number of a plan.
"""
