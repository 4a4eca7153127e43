"""Putting runs before judges, checking judges, and people's review of both."""
