"""What is asked: scenarios, their worlds, and the suites that group them."""
