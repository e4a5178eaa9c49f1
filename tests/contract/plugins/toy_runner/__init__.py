"""A runner of somebody else's, in threads of the server: see plugin.py."""
