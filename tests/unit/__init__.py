"""Tests of `analysis`, without a browser or a page."""
