"""The fast viewer of many heads: `component` draws it on a page."""
