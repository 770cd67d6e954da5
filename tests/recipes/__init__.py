"""What the documents tell others to write, run as they would run it: Python, PHP, Node."""
