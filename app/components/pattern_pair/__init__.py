"""Two patterns with one pointer: `component` draws them on a page."""
