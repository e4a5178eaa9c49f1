"""A dialect of somebody else's: ``GET /toy/jobs``, and predictions at ``POST /toy/<endpoint>``."""
