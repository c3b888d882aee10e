"""Files, as the library and `data_prep` both treat them: written whole, known by content, checked before use.

This package imports nothing but the standard library.
"""

from keras_uq.files.digests import sha256, stamp, stamps
from keras_uq.files.limits import gibibytes, max_memory
from keras_uq.files.typed_json import BadFile, check, parse, read
from keras_uq.files.writing import naming, process_name, replacing, sweep, write_text

__all__ = [
    "BadFile",
    "check",
    "gibibytes",
    "max_memory",
    "naming",
    "parse",
    "process_name",
    "read",
    "replacing",
    "sha256",
    "stamp",
    "stamps",
    "sweep",
    "write_text",
]
