"""The program of the embedded model's process: llama.cpp's server, running while the kernel holds its pipe.

Run by `local.py`, which writes one line of JSON to its standard input and reads one back. Not imported.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys


def main() -> None:
    """Serve the model named on standard input until standard input ends, as it does when the kernel is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interrupt is meant for the cell
    config = json.loads(sys.stdin.readline())
    sys.path[:] = config["sys_path"]  # the kernel's: what it can import, so can this
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.n_ctx = config["context_tokens"]
    params.n_batch = params.n_ubatch = config["batch_tokens"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.use_jinja = True
    params.verbosity = -1
    params.api_keys = [config["key"]]
    params.hostnames = [config["host"]]
    params.port = 0
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # the only report of a file that it cannot load
        sys.exit(1)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    if config["directory"]:
        shutil.rmtree(config["directory"], ignore_errors=True)  # the kernel does so too, unless it was killed
    os._exit(0)  # nothing to save, and an orderly end would wait for the response in progress


if __name__ == "__main__":
    main()
