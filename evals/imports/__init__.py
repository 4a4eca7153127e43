"""Results of other studies in our columns, so that they go through the same frame, estimates and report."""
