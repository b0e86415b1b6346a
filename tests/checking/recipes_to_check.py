"""What the tests of this folder check."""

GOOD = """\
schema: 1
global_batch_size: 32
sequence_length: 64
hidden_size: 128
optimizer: {learning_rate: 1e-3}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
launch: {engine: torchrun, script: train.py}
"""
