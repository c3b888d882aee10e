"""Download the official archives of a known dataset, with checksums; an interrupted download resumes.

python -m data_prep.download Task09_Spleen --to <folder>
python -m data_prep.download isic2018 --to <folder>
"""

import argparse
import sys
from pathlib import Path

from data_prep import acdc, pancreas_ct, prostate
from data_prep.decathlon import TASKS
from data_prep.extract import extract
from data_prep.pictures import FILES
from data_prep.tcia import fetch_collection
from data_prep.transfer import DownloadError, fetch

# Image collections of The Cancer Imaging Archive: the collection's name there, and the series description to select.
COLLECTIONS = {"pancreas_ct": (pancreas_ct.COLLECTION, None), "prostatex": ("PROSTATEx", prostate.AXIAL)}
# File names for URLs that do not end in one.
NAMES = {acdc.URL: "ACDC.zip", prostate.PROMISE12_URL: "training_data.zip"}


def archives() -> dict[str, list]:
    """`{dataset: [(URL, checksum)]}` of every archive that can be downloaded without a login."""
    files = {task.name: [(task.url, f"md5:{task.md5}")] for task in TASKS.values()}
    for collection, url, checksum in FILES.values():
        if url is None:
            continue
        files.setdefault(collection, []).append((url, checksum))
    # The server builds a new ACDC zip for every download, so there is no fixed checksum.
    files["acdc"] = [(acdc.URL, None)]
    files["pancreas_ct"] = [(pancreas_ct.LABELS_URL, f"sha256:{pancreas_ct.LABELS_SHA256}")]
    files["prostatex"] = []
    files["promise12"] = [(prostate.PROMISE12_URL, f"sha256:{prostate.PROMISE12_SHA256}")]
    return files


def main(arguments: list[str] | None = None) -> int:
    """Download the archives of one known dataset. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.download", description=__doc__.splitlines()[0])
    parser.add_argument(
        "dataset",
        choices=sorted(archives()),
        help="a task of the Medical Segmentation Decathlon (CC BY-SA 4.0), dsb2018 (CC0), pancreas_ct, or prostatex "
        "(both CC BY 3.0; for prostatex the masks must be fetched separately); isic2018, acdc and promise12 have "
        "their own terms of use",
    )
    parser.add_argument("--to", required=True, help="folder for the archive; pass its parent folder as DATA")
    options = parser.parse_args(arguments)
    try:
        for url, checksum in archives()[options.dataset]:
            if checksum is None:
                print(f"{url.rpartition('/')[2]}: no checksum is published, so the file is not verified.")
            print(fetch(url, checksum, options.to, NAMES.get(url)))
        if options.dataset in COLLECTIONS:
            _fetch_collection(options.dataset, Path(options.to))
    except (DownloadError, ValueError, OSError) as error:  # The others come from unpacking.
        print(f"{error}", file=sys.stderr)
        return 2
    return 0


def _fetch_collection(dataset, folder):
    """Download the series of a collection, and unpack the zip files that were downloaded beside them."""
    collection, description = COLLECTIONS[dataset]
    for packed in sorted(folder.glob("*.zip")):
        if not (folder / packed.stem).exists():
            extract(packed, folder / packed.stem)
    series_folders = fetch_collection(collection, folder / collection, description)
    print(f"{len(series_folders)} series: {folder / collection}")


if __name__ == "__main__":
    sys.exit(main())
