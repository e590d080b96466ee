"""The page on which a circuit is put together by hand."""
