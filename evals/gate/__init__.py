"""The regression gate: a verdict on a run, compared with a committed baseline, that CI can put before a merge."""
