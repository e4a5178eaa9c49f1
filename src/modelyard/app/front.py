"""The front process: ``python -m modelyard.app.front``, started by edge/launch and outliving the server.

Composition only: what dialects publish for predictions, and the words in which the front refuses everything else.
Imports neither botocore nor a store: it must start in a fraction of a second and hold no model.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence

import uvloop

from modelyard.base.clock import SystemClock
from modelyard.base.plugins import load_all
from modelyard.core.deployments.ports import InvocationHead, Predictions, Refusal, WireAnswer, Words
from modelyard.edge.front import Refuse, plain_refusal
from modelyard.edge.launch import FrontOptions
from modelyard.edge.process import run_front

_log = logging.getLogger(__name__)


def main() -> int:
    """The exit code: 0 after SIGTERM or without a server for too long, 1 when it could not listen."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="modelyard-front")
    parser.add_argument("--options", required=True, help="FrontOptions as JSON")
    parser.add_argument("--ready-fd", type=int, default=1, help="Told 'ready', or why not")
    arguments = parser.parse_args()
    options = FrontOptions.from_json(json.loads(arguments.options))

    def say(message: str) -> None:
        os.write(arguments.ready_fd, message.encode())
        if arguments.ready_fd > 2:
            os.close(arguments.ready_fd)

    published = load_all("modelyard.dialects", Predictions, "PREDICTIONS", "invoke", needed=False)
    made = published.each(lambda one: (tuple(one.codecs(options.account, options.region)), one.refuse)).usable(_log)
    codecs = [codec for one in made for codec in one.value[0]]
    return uvloop.run(run_front(options, codecs, _refusing([one.value[1] for one in made]), SystemClock(), say))


def _refusing(words: Sequence[Words]) -> Refuse:
    """The refusal in the words of the first dialect that has some for the request, else in plain ones."""

    def refuse(head: InvocationHead | None, refusal: Refusal) -> WireAnswer:
        for worded in words:
            answer = worded(head, refusal)
            if answer is not None:
                return answer
        return plain_refusal(head, refusal)

    return refuse


if __name__ == "__main__":
    sys.exit(main())
