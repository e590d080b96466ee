"""Pieces of long work that other processes do, on this machine or on others."""
