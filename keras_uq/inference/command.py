"""The command `keras-uq`: uncertainty maps of scans, without writing code."""

import argparse
import json
import os
import sys
from pathlib import Path


def main(arguments=None):
    """Run the command; the exit status is 0 if every scan was predicted, 1 if some were not, 2 if none could be."""
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
        "predict", help="write mean, mask, entropy, std, variance and mutual information beside a scan"
    )
    predict.add_argument("--model", required=True, action="append", help=".keras file; several make an ensemble")
    predict.add_argument("--image", required=True, help="a .nii or .nii.gz scan, or a folder of them")
    predict.add_argument("--out", required=True, help="folder for the maps")
    predict.add_argument("--samples", type=int, default=20, help="Monte Carlo dropout samples of each model (20)")
    predict.add_argument("--seed", type=int, default=0, help="of the dropout masks (0)")
    predict.add_argument("--batch-size", type=int, help="slices (8) or windows (1) at a time")
    predict.add_argument(
        "--window", type=_sides, help="of a 3D model that carries none: its sides in voxels, slices first: 96,96,96"
    )
    predict.add_argument("--overlap", type=float, default=0.5, help="share that neighbouring windows share (0.5)")
    predict.add_argument(
        "--deterministic", action="store_true", help="leave dropout off: an ensemble of its members alone"
    )
    predict.add_argument("--independent-masks", action="store_true", help="masks of its own for each slice or window")
    predict.add_argument("--preprocessing", help="JSON file, for a model that carries none")
    predict.add_argument("--quality", help="JSON file of a quality card, for models that carry none or an ensemble")
    predict.add_argument("--again", action="store_true", help="predict scans whose maps are there already")
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
    failed, flagged, kept = [], [], 0
    columns = (*Progress.get_default_columns(), TimeElapsedColumn(), TextColumn("{task.fields[scan]}"))
    with Progress(*columns) as progress:
        task = progress.add_task("scans", total=len(scans), scan="")
        for scan in scans:
            progress.update(task, scan=scan.name)
            if not options.again and _is_done(sidecar_path(scan, out_dir), predictor, preprocessing, quality):
                kept += 1
            else:
                try:
                    predict_nifti(
                        predictor, scan, out_dir, preprocessing, batch_size=options.batch_size, quality=quality
                    )
                except ValueError as error:
                    failed.append(scan.name)
                    progress.console.print(f"[red]not predicted[/red] {error}")
            if quality is not None and scan.name not in failed:
                flagged += _look_at(sidecar_path(scan, out_dir), progress.console)
            progress.advance(task)
    print(f"{len(scans) - len(failed) - kept} predicted, {kept} already there, {len(failed)} failed: {out_dir}")
    if quality is not None:
        print(f"{len(flagged)} to look at: {', '.join(flagged) or 'none'} (why: quality, in the JSON of each)")
    if failed:
        return 2 if len(failed) == len(scans) else 1
    return 0


def _scans(image):
    image = Path(image)
    if image.is_file():
        return [image]
    if not image.is_dir():
        raise ValueError(f"There is no scan or folder {image}.")
    # Some archives carry hidden companions of each file, named ._scan.nii.gz.
    scans = sorted(
        file for file in image.iterdir() if file.name.endswith((".nii", ".nii.gz")) and not file.name.startswith(".")
    )
    if not scans:
        raise ValueError(f"{image} holds no .nii or .nii.gz file.")
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
    from keras_uq.inference.published import read_preprocessing
    from keras_uq.preprocessing import Preprocessing

    if options.preprocessing:
        return Preprocessing.from_json(Path(options.preprocessing).read_text())
    for model in options.model:
        if not Path(model).is_file():
            raise ValueError(f"There is no model file {model}.")
    found = [read_preprocessing(model) for model in options.model]
    if None in found:
        raise ValueError(
            f"{options.model[found.index(None)]} carries no preprocessing. Give it with --preprocessing file.json, or "
            f"save the model with keras_uq.inference.save_model."
        )
    if any(other != found[0] for other in found):
        raise ValueError("The models need different preprocessing, so they cannot predict as one ensemble.")
    return found[0]


def _predictor(options):
    """Of slices, or of windows where the models or the user name some."""
    from keras_uq.inference.published import read_window
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
    from keras_uq.inference.published import load_model, read_multilabel

    multilabel = [read_multilabel(model) for model in options.model]
    if options.deterministic:
        if len(set(multilabel)) > 1:
            raise ValueError("Some of the models have independent channels and some have not. Predict with one kind.")
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
    """The quality card to read: the given one, or that which every model carries."""
    from keras_uq.inference.published import read_quality
    from keras_uq.inference.quality import QualityCard

    if options.quality:
        return QualityCard.from_json(Path(options.quality).read_text())
    cards = [read_quality(model) for model in options.model]
    return cards[0] if all(card == cards[0] for card in cards) else None


def _look_at(sidecar, console):
    """The scan's name if its quality card has a flag, and a line for each."""
    record = json.loads(sidecar.read_text())
    flags = [line for line in record.get("quality", ()) if line["flag"]]
    for line in flags:
        console.print(f"[yellow]look at[/yellow] {record['scan']}, class {line['class']}: {line['why']}")
    return [record["scan"]] if flags else []


def _is_done(sidecar, predictor, preprocessing, quality):
    """Whether the maps beside a sidecar are those this command would write."""
    try:
        record = json.loads(sidecar.read_text())
    except (OSError, json.JSONDecodeError):
        return False
    would_be = {
        "predictor": predictor.describe(),
        "preprocessing": json.loads(preprocessing.to_json()),
        "quality_card": quality and json.loads(quality.to_json()),
    }
    return {name: record.get(name) for name in would_be} == would_be


if __name__ == "__main__":
    sys.exit(main())
