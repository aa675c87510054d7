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
    # When the oldest turns are left out, what follows them is moved instead of being read anew.
    params.n_cache_reuse = config["reused_tokens"]
    params.cache_ram_mib = config["cache_mebibytes"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    if config["gpu_layers"] is not None:
        params.n_gpu_layers = config["gpu_layers"]
    if config["mmproj"]:
        params.mmproj.path = config["mmproj"]
    params.use_jinja = True
    params.verbosity = 1  # errors only: they go to a file that says why a model cannot be loaded
    params.api_keys = [config["key"]]
    if hasattr(params, "hostnames"):
        params.hostnames = [config["host"]]
    else:  # up to 2026.9
        params.hostname = config["host"]
    params.port = 0
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # the reason is in the file
        sys.exit(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the file would grow with every refusal
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    if config["directory"]:
        shutil.rmtree(config["directory"], ignore_errors=True)  # the kernel does so too, unless it was killed
    os._exit(0)  # nothing to save, and an orderly end would wait for the response in progress


if __name__ == "__main__":
    main()
