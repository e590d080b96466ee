"""Bounds on inputs, free of torch, so that widgets and links can be checked before it is loaded."""

MIN_HALF = 2  # S of repeated tokens; with 1 nothing in the second half is predictable
MAX_BATCH = 64
# Far above any context here; keeps a pasted book from being tokenized at all.
MAX_CHARACTERS = 20_000
# What one answer may hold: 64 sequences x 144 heads x 201 x 201 float32 would be 1.5 GB.
MAX_BYTES = 256 * 2**20
MAX_SEED = 2**32 - 1
