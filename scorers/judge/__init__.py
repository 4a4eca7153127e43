"""LLM judges: what a transcript shows that state cannot, with evidence, and how far it can be trusted."""
