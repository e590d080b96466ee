"""A forward pass played: arcs over the text and guesses, layer by layer."""
