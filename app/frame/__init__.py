"""The frame that every figure stands in, and what a person takes along of it."""
