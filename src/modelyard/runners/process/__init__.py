"""Jobs and endpoint workers as processes of this machine, each in a sandbox of its own behind a supervisor.

Owns processes, sandboxes and environments. Refuses to know why something runs and what it means that it ended.
"""
