"""The review page: people read what judges and state disagree on, and have the last word."""
