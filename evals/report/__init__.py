"""Telling what was found: a page that a busy reader can trust, and the same figures for other programs."""
