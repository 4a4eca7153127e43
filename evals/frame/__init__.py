"""One typed table of samples from runs, logs and imported results."""
