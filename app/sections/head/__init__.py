"""The parts of the page Head."""
