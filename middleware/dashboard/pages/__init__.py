"""One module for each page: what it reads, and what a person may do there."""
