"""The command `keras-uq`, which writes uncertainty maps of scans from the shell."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0 if every scan was predicted, 1 if some failed, 2 if all failed."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return _predict(options)
    except (ValueError, OSError) as error:
        print(f"keras-uq: {error}", file=sys.stderr)
        return 2


def _parser():
    parser = argparse.ArgumentParser(prog="keras-uq", description="Segmentation with uncertainty maps. Research only.")
    commands = parser.add_subparsers(required=True)
    predict = commands.add_parser(
        "predict", help="write mean, mask, entropy, std, variance and mutual information of scans as NIfTI files"
    )
    predict.add_argument(
        "--model", required=True, action="append", help=".keras file; repeat the option to predict with an ensemble"
    )
    predict.add_argument("--image", required=True, help="a .nii or .nii.gz scan, or a folder of scans")
    predict.add_argument("--out", required=True, help="folder for the maps; it is created if it does not exist")
    predict.add_argument(
        "--samples", type=int, default=20, help="number of Monte Carlo dropout samples per model (default: 20)"
    )
    predict.add_argument("--seed", type=int, default=0, help="random seed of the dropout masks (default: 0)")
    predict.add_argument(
        "--batch-size", type=int, help="number of slices (default: 8) or windows (default: 1) predicted at a time"
    )
    predict.add_argument(
        "--window",
        type=_sides,
        help="window size in voxels as slices,rows,columns (96,96,96, for example), for a 3D model saved without one",
    )
    predict.add_argument(
        "--overlap", type=float, default=0.5, help="overlap of neighbouring windows, as a share (default: 0.5)"
    )
    predict.add_argument(
        "--deterministic", action="store_true", help="predict without dropout; only an ensemble then shows uncertainty"
    )
    predict.add_argument(
        "--independent-masks", action="store_true", help="draw new dropout masks for each slice or window"
    )
    predict.add_argument("--preprocessing", help="preprocessing JSON file, for a model saved without one")
    predict.add_argument(
        "--quality", help="quality card JSON file, for models saved without one or an ensemble with different cards"
    )
    predict.add_argument("--again", action="store_true", help="also predict scans that already have these maps")
    return parser


def _predict(options):
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from keras_uq.inference.nifti import predict_nifti, sidecar_path

    scans = _scans(options.image)
    out_dir = Path(options.out)
    _check_writable(out_dir)
    preprocessing = _preprocessing(options)
    predictor = _predictor(options)
    quality = _quality(options)
    failed, flagged, skipped = [], [], 0
    columns = (*Progress.get_default_columns(), TimeElapsedColumn(), TextColumn("{task.fields[scan]}"))
    with Progress(*columns) as progress:
        task = progress.add_task("scans", total=len(scans), scan="")
        for scan in scans:
            progress.update(task, scan=scan.name)
            if not options.again and _is_done(sidecar_path(scan, out_dir), predictor, preprocessing, quality):
                skipped += 1
            else:
                try:
                    predict_nifti(
                        predictor, scan, out_dir, preprocessing, batch_size=options.batch_size, quality=quality
                    )
                except ValueError as error:
                    failed.append(scan.name)
                    progress.console.print(f"[red]not predicted[/red] {error}")
            if quality is not None and scan.name not in failed:
                flagged += _review(sidecar_path(scan, out_dir), progress.console)
            progress.advance(task)
    print(f"{len(scans) - len(failed) - skipped} predicted, {skipped} already there, {len(failed)} failed: {out_dir}")
    if quality is not None:
        print(f"{len(flagged)} flagged for review: {', '.join(flagged) or 'none'}")
        if flagged:
            print('The reasons are under "quality" in the JSON file of each scan.')
    if failed:
        return 2 if len(failed) == len(scans) else 1
    return 0


def _scans(image):
    image = Path(image)
    if image.is_file():
        return [image]
    if not image.is_dir():
        raise ValueError(f"There is no scan or folder {image}.")
    # Some archives contain a hidden macOS file for each scan, named ._scan.nii.gz.
    scans = sorted(
        file for file in image.iterdir() if file.name.endswith((".nii", ".nii.gz")) and not file.name.startswith(".")
    )
    if not scans:
        raise ValueError(f"{image} contains no .nii or .nii.gz file.")
    return scans


def _check_writable(out_dir):
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        probe = out_dir / ".keras-uq-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"The output folder {out_dir} cannot be written ({error.strerror or error}).") from error


def _preprocessing(options):
    from keras_uq.inference.model_file import read_preprocessing
    from keras_uq.preprocessing import Preprocessing

    if options.preprocessing:
        return Preprocessing.from_json(Path(options.preprocessing).read_text())
    for model in options.model:
        if not Path(model).is_file():
            raise ValueError(f"There is no model file {model}.")
    configurations = [read_preprocessing(model) for model in options.model]
    if None in configurations:
        raise ValueError(
            f"{options.model[configurations.index(None)]} contains no preprocessing. Give it with --preprocessing "
            f"file.json, or save the model with keras_uq.inference.save_model."
        )
    if any(other != configurations[0] for other in configurations):
        raise ValueError("The models need different preprocessing, so they cannot predict as one ensemble.")
    return configurations[0]


def _predictor(options):
    """Build the predictor: a `SlidingWindow` if the models or the user give a window, else a predictor of slices."""
    from keras_uq.inference.model_file import read_window
    from keras_uq.inference.sliding_window import SlidingWindow

    windows = {options.window or read_window(model) for model in options.model}
    if len(windows) > 1:
        raise ValueError(f"The models were trained on different windows, {windows}: choose one with --window.")
    (window,) = windows
    predictor = _sampler(options)
    if window is None:
        return predictor
    return SlidingWindow(predictor, window, options.overlap, consistent=not options.independent_masks)


def _sides(text):
    try:
        sides = tuple(int(side) for side in text.split(","))
    except ValueError:
        sides = ()
    if len(sides) != 3 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"expected three sides such as 96,96,96, not {text!r}")
    return sides


def _sampler(options):
    from keras_uq.inference.ensemble import Ensemble
    from keras_uq.inference.mc_dropout import MCDropout
    from keras_uq.inference.model_file import load_model, read_multilabel

    multilabel = [read_multilabel(model) for model in options.model]
    if options.deterministic:
        if len(set(multilabel)) > 1:
            raise ValueError(
                "Some models have independent channels (multilabel) and some have exclusive classes. Use models of "
                "one kind."
            )
        return Ensemble(options.model, multilabel=multilabel[0])
    members = [
        MCDropout(
            load_model(model),
            options.samples,
            options.seed + index,
            shared=not options.independent_masks,
            multilabel=multilabel[index],
        )
        for index, model in enumerate(options.model)
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def _quality(options):
    """Return the given quality card, or the one that all models have in common, or `None`."""
    from keras_uq.inference.model_file import read_quality
    from keras_uq.inference.quality import QualityCard

    if options.quality:
        return QualityCard.from_json(Path(options.quality).read_text())
    cards = [read_quality(model) for model in options.model]
    return cards[0] if all(card == cards[0] for card in cards) else None


def _review(sidecar, console):
    """Print one line per class that is flagged for review. Returns a list with the scan's name if there is one."""
    record = json.loads(sidecar.read_text())
    flags = [line for line in record.get("quality", ()) if line["flag"]]
    for line in flags:
        console.print(f"[yellow]review[/yellow] {record['scan']}, class {line['class']}: {line['why']}")
    return [record["scan"]] if flags else []


def _is_done(sidecar, predictor, preprocessing, quality):
    """Whether the existing maps of a scan were made with the settings of this call."""
    try:
        record = json.loads(sidecar.read_text())
    except (OSError, json.JSONDecodeError):
        return False
    settings = {
        "predictor": predictor.describe(),
        "preprocessing": json.loads(preprocessing.to_json()),
        "quality_card": quality and json.loads(quality.to_json()),
    }
    return {name: record.get(name) for name in settings} == settings


if __name__ == "__main__":
    sys.exit(main())
