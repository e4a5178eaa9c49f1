"""``python -m modelyard``: the same as the ``modelyard`` command.

Owns nothing: cli/main.py has the commands.
"""

from modelyard.cli.main import app

app()
