"""Jobs and endpoint workers as processes of this machine, each in a sandbox of its own behind a supervisor."""
