"""The command `keras-uq`, which writes uncertainty maps of scans from the shell.

Whatever can be told from the arguments alone is checked before Keras, NumPy and other large packages are imported.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_uq import _quiet, files
from keras_uq._kinds import Integer, Items, Number, Text, option
from keras_uq._screen import one_line, printable
from keras_uq._version import __version__
from keras_uq.inference._command_checks import check_json, check_options, scans_to_predict, stamps_of, writable
from keras_uq.inference.sidecar import is_current, read_sidecar, sidecar_path

PATH = Text(most=4096, pattern=r"[^\0]+", described="a path")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0 if every scan was predicted, 1 if some failed, 2 if all failed.

    It is also 2 for an error that concerns all scans, and 130 after an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold characters that the screen's encoding lacks.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return _predict(options)
    except OSError as error:
        message = _reason(error)
    except ValueError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("keras-uq: interrupted. The same command goes on with the remaining scans.", file=sys.stderr)
        return 130
    print(f"keras-uq: {one_line(message)}", file=sys.stderr)
    return 2


def _parser():
    parser = argparse.ArgumentParser(prog="keras-uq", description="Segmentation with uncertainty maps. Research only.")
    parser.add_argument("--version", action="version", version=f"keras-uq {__version__}")
    commands = parser.add_subparsers(required=True)
    predict = commands.add_parser(
        "predict", help="write mean, mask, entropy, std, variance and mutual information of scans as NIfTI files"
    )

    def add(name, kind, help, **others):
        predict.add_argument(name, type=option(kind), help=help, **others)

    add("--model", PATH, ".keras file; repeat the option to predict with an ensemble", required=True, action="append")
    add("--image", PATH, "a .nii or .nii.gz scan, or a folder of scans", required=True)
    add("--out", PATH, "folder for the maps; it is created if it does not exist", required=True)
    add("--samples", Integer(1, 1_000_000), "number of Monte Carlo dropout samples per model (default: 20)")
    add("--seed", Integer(0, 2**32 - 1), "random seed of the dropout masks (default: 0)")
    add(
        "--batch-size",
        Integer(1, 4096),
        "number of slices (default: 8) or windows (default: 1) predicted at a time",
    )
    add(
        "--window",
        Items(Integer(1, 4096), count=3),
        "window size in voxels as slices,rows,columns (96,96,96, for example), for a 3D model saved without one",
    )
    add("--overlap", Number(least=0, below=1), "overlap of neighbouring windows, as a share (default: 0.5)")
    predict.add_argument(
        "--deterministic", action="store_true", help="predict without dropout; only an ensemble then shows uncertainty"
    )
    predict.add_argument(
        "--independent-masks", action="store_true", default=None, help="draw new dropout masks for each slice or window"
    )
    add("--preprocessing", PATH, "preprocessing JSON file, for a model saved without one")
    add("--quality", PATH, "quality card JSON file, for models saved without one or an ensemble with different cards")
    predict.add_argument("--again", action="store_true", help="also predict scans that already have these maps")
    return parser


def _predict(options):
    """Check all arguments, then predict. The order is that of the time the checks take."""
    check_options(options)
    for path in (options.preprocessing, options.quality):
        if path is not None:
            check_json(Path(path))
    models = stamps_of(options.model)
    scans = scans_to_predict(Path(options.image), Path(options.out))
    files.max_memory()  # An unreadable KERAS_UQ_MAX_MEMORY is told now.
    with writable(Path(options.out)) as out_dir:
        _quiet.install()  # Before the first import of Keras.
        return _predict_scans(scans, out_dir, models, options)


def _predict_scans(scans, out_dir, models, options):
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from keras_uq.inference._command_models import predictor_of, preprocessing_of, quality_of
    from keras_uq.inference.nifti import predict_nifti

    preprocessing = preprocessing_of(options)
    predictor = predictor_of(options)
    quality = quality_of(options, predictor)
    settings = {
        "predictor": predictor.describe(),
        "preprocessing": json.loads(preprocessing.to_json()),
        "quality_card": quality and json.loads(quality.to_json()),
    }
    given = {
        "preprocessing": preprocessing,
        "batch_size": options.batch_size,
        "quality": quality,
        "models": models,
    }
    failed, flagged, skipped = [], [], 0
    columns = (*Progress.get_default_columns(), TimeElapsedColumn(), TextColumn("{task.fields[scan]}", markup=False))
    with Progress(*columns) as progress:
        task = progress.add_task("scans", total=len(scans), scan="")
        for scan in scans:
            progress.update(task, scan=printable(scan.name))
            try:
                record = None if options.again else _current(scan, out_dir, models, settings, progress.console)
                if record is not None:
                    skipped += 1
                else:
                    predict_nifti(predictor, scan, out_dir, **given)
                if quality is not None:
                    record = record or read_sidecar(sidecar_path(scan, out_dir))
                    flagged += _review(record, progress.console)
            except Exception as error:
                _stop_if_all_would_fail(error, scan, out_dir)
                failed.append(scan.name)
                _print(progress.console, "not predicted", "red", _finding(scan, error))
            progress.advance(task)
    predicted = len(scans) - len(failed) - skipped
    print(one_line(f"{predicted} predicted, {skipped} already there, {len(failed)} failed: {out_dir}"))
    if quality is not None:
        print(one_line(f"{len(flagged)} flagged for review: {', '.join(flagged) or 'none'}", longest=None))
        if flagged:
            print('The reasons are under "quality" in the JSON file of each scan.')
    if failed:
        return 2 if len(failed) == len(scans) else 1
    return 0


def _current(scan, out_dir, models, settings, console):
    """The JSON record of a scan's maps if they are what would be predicted now, else `None`."""
    path = sidecar_path(scan, out_dir)
    try:
        record = read_sidecar(path)
    except OSError:
        return None
    except files.BadFile as error:
        _print(console, "predicted again", "yellow", f"{scan.name}: {error}")
        return None
    return record if is_current(record, scan, out_dir, models, settings) else None


def _review(record, console):
    """Print one line per class that is flagged for review. Returns a list with the scan's name if there is one."""
    flags = [line for line in record.get("quality", ()) if line["flag"]]
    for line in flags:
        _print(console, "review", "yellow", f"{record['scan']}, class {line['class']}: {line['why']}")
    return [record["scan"]] if flags else []


def _stop_if_all_would_fail(error, scan, out_dir):
    """Raise the error again, in clear words, if it is one of the disk or of a model file and not of this scan."""
    from keras_uq.inference.model_file import SYSTEM

    if isinstance(error, files.BadFile):
        raise error
    if isinstance(error, OSError) and error.errno in SYSTEM:
        if error.strerror is None:  # It says already what was going on.
            raise error
        raise ValueError(
            f"The maps of {scan.name} cannot be written to {out_dir}: {error.strerror}. Nothing of this scan is left "
            "there. When this is repaired, the same command goes on with the remaining scans."
        ) from error


def _finding(scan, error):
    """One line about a scan that could not be predicted, which begins with its name."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"{scan.name} needs more memory than this process can have. Try a smaller --batch-size."
    text = _reason(error)
    if not isinstance(error, (ValueError, OSError)):
        text = f"{scan.name} could not be predicted ({type(error).__name__}: {text})."
    text = text if text.startswith(scan.name) else f"{scan.name}: {text}"
    return text.replace(scan.name, printable(scan.name))


def _reason(error):
    return f"{error.strerror}: {error.filename}" if getattr(error, "filename", None) else str(error)


def _print(console, word, colour, text):
    from rich.text import Text as Styled

    # `Text` takes names of files as they are, where a string may hold markup.
    console.print(Styled.assemble((word, colour), " ", one_line(text)), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
