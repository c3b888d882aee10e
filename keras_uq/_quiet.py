"""Keep TensorFlow's start-up lines off the screen of our commands, and nothing else.

While TensorFlow is imported and when it first looks for a GPU, its C++ code writes to file descriptor 2, past
`sys.stderr` and before it has read `TF_CPP_MIN_LOG_LEVEL`. During that time another process reads the descriptor line
by line, drops the lines of `NOISE` and prints all others at once, so that they appear even if this process is killed.
Only commands use this: `import keras_uq` leaves the descriptors of a user's program alone.
"""

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from importlib.abc import MetaPathFinder

SOURCE = rb"^[IWE]\d{4} .*\b"
NOISE = (
    rb"^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR",
    SOURCE + rb"port\.cc:\d+\] oneDNN custom operations are on",
    SOURCE + rb"cpu_feature_guard\.cc:\d+\] This TensorFlow binary is optimized",
    rb"^To enable the following instructions: .* rebuild TensorFlow with the appropriate compiler flags",
    # Libraries of CUDA that two parts of TensorFlow register.
    SOURCE + rb"cuda_(dnn|fft|blas)\.cc:\d+\] Unable to register cu(DNN|FFT|BLAS) factory",
    SOURCE + rb"computation_placer\.cc:\d+\] computation placer already registered",
)
# No news where there is no GPU. Where there is one, they tell why it is not used.
NO_GPU = (
    SOURCE + rb"cudart_stub\.cc:\d+\] Could not find cuda drivers on your machine",
    SOURCE + rb"cuda_\w+\.cc:\d+\] failed call to cuInit: ",
)
GPU_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg")


def install():
    """Make the next import of Keras a quiet one, and TensorFlow's first look for a GPU with it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" not in sys.modules:
        sys.meta_path.insert(0, _QuietKeras())


@contextlib.contextmanager
def without_noise():
    """Within this, what is written to file descriptor 2 goes through a process that drops the lines of `NOISE`."""
    with contextlib.ExitStack() as stack:
        # Where no process can be started, or standard error is closed, nothing is held back.
        with contextlib.suppress(OSError):
            stack.enter_context(_filtered(2))
        yield


@contextlib.contextmanager
def _filtered(descriptor):
    screen = os.dup(descriptor)
    try:
        # It needs nothing but this file and the standard library.
        command = [sys.executable, "-I", "-S", __file__]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=screen, stderr=screen)
        os.dup2(process.stdin.fileno(), descriptor)
        process.stdin.close()
        try:
            yield
        finally:
            os.dup2(screen, descriptor)
            # At once, unless the import has started a process that still holds the descriptor.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
    finally:
        os.close(screen)


class _QuietKeras(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module):
                with without_noise():
                    execute(module)
                    _look_for_gpus()

            spec.loader.exec_module = execute_quietly
        return spec


def _look_for_gpus():
    """What TensorFlow otherwise does, and tells, in its first operation. It reserves no memory."""
    if sys.modules["keras"].backend.backend() == "tensorflow":
        sys.modules["tensorflow"].config.list_physical_devices("GPU")


def _print_all_but_noise(lines, screen):
    has_gpu = any(map(os.path.exists, GPU_DRIVERS))
    noise = re.compile(b"|".join(NOISE if has_gpu else NOISE + NO_GPU))
    for line in lines:
        if not noise.match(line):
            screen.write(line)
            screen.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The process that is filtered decides what an interrupt does.
    _print_all_but_noise(sys.stdin.buffer, sys.stdout.buffer)
