"""The front process: ``python -m modelyard.app.front``, started by edge/launch and outliving the server.

Composition only: the dialects' codecs of predictions, and the words in which the front refuses everything else.
Imports neither botocore nor a store: it must start in a fraction of a second and hold no model.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys

import uvloop

from modelyard.base.clock import SystemClock
from modelyard.core.deployments.ports import InvocationHead, Refusal, WireAnswer
from modelyard.dialects.aws.refusals import refuse as refuse_aws
from modelyard.dialects.sagemaker.invoke import SageMakerCodec
from modelyard.edge.front import plain_refusal
from modelyard.edge.launch import FrontOptions
from modelyard.edge.process import run_front


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

    codecs = (SageMakerCodec(options.account, options.region),)
    return uvloop.run(run_front(options, codecs, _refuse, SystemClock(), say))


def _refuse(head: InvocationHead | None, refusal: Refusal) -> WireAnswer:
    return refuse_aws(head, refusal) or plain_refusal(head, refusal)


if __name__ == "__main__":
    sys.exit(main())
