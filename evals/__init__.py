"""Running and telling: Inspect tasks, runs, reference models, and the command line."""
