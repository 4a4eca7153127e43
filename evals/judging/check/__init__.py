"""Checking judges: pairs of known truth, changes that must not matter, and hostile transcripts."""
