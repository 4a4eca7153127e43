"""Machines without a container engine: bubblewrap, user namespaces, and the system's own programs."""
