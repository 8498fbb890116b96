"""Checkpoints that PyTorch pickled (.ckpt, .pt, .bin), read without executing anything.

``machine`` follows the pickle's opcodes itself and can only make plain values and descriptions of tensors; ``zipped``
and ``legacy`` know the two containers; ``rewrite`` copies the described tensors into a safetensors file; ``child`` does
so in a process of its own, which ``process`` starts and bounds; ``cache`` keeps the result, so that it is done once.
"""
