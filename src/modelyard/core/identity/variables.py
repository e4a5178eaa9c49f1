"""A key as the environment of a process, in which AWS's clients find it.

Owns the names, and which of a shell's own would go before them. Refuses to know who makes the environment: a shell, a
job, a test. Follows https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html.
"""

from __future__ import annotations

from collections.abc import Iterable

_OF_OTHERS = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")


def client_variables(
    url: str, region: str, access_key: str, secret: str, session_token: str | None = None
) -> dict[str, str]:
    """What points any AWS client at the server of ``url``."""
    variables = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
    }
    return variables if session_token is None else {**variables, "AWS_SESSION_TOKEN": session_token}


def to_unset(environment: Iterable[str]) -> tuple[str, ...]:
    """The variables, by what ``environment`` names, that must go lest they win over those above.

    >>> to_unset(["HOME", "AWS_ENDPOINT_URL_S3"])[-2:]
    ('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', 'AWS_ENDPOINT_URL_S3')
    """
    return (*_OF_OTHERS, *sorted(name for name in environment if name.startswith("AWS_ENDPOINT_URL_")))
