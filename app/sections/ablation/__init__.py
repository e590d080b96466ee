"""The parts of the page Ablation."""
