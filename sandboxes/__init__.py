"""Where it happens: the container provider, the programs inside, and the capture of evidence."""
