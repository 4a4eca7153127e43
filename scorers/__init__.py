"""What happened: evidence to findings to labels."""
