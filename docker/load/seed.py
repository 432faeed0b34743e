"""Fills a service with the rows of a workload, unless they are there: `seed.py URL WORKLOAD`."""

import argparse
import asyncio
import sys
from pathlib import Path

import rows
from rich.console import Console

from assay.measure import dataset, workload
from assay.progress import Steps
from assay.stand import StandError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the service, with its prefix if it has one")
    parser.add_argument("workload", type=Path, help="a file such as examples/ycsb_b.toml")
    chosen = parser.parse_args()
    try:
        _seed(chosen.url, workload.load(chosen.workload).rows)
    except StandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _seed(url: str, sizes: workload.Sizes) -> None:
    if rows.are_stored(url):
        sys.stdout.write(f"{url} holds the rows of a workload already.\n")
        return
    batches = dataset.batches(sizes.documents, users=sizes.users, content_bytes=sizes.content_bytes)
    step = f"store {sizes.users:,} users and {sizes.documents:,} documents"
    with Steps(Console(stderr=True)) as steps, steps.step(step, batches) as advance:
        asyncio.run(
            dataset.seed(
                url,
                advance,
                users=sizes.users,
                documents=sizes.documents,
                content_bytes=sizes.content_bytes,
                headers=rows.authorization(),
            )
        )


if __name__ == "__main__":
    sys.exit(main())
