"""`taiga-billing bench`: how fast the pipe is, against floors measured in the same run. Never a test of time."""
