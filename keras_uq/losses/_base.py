"""The base class of the losses: it holds the arguments of a loss function and connects it to Keras."""

from collections.abc import Callable
from inspect import Parameter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras

from keras_uq._kinds import Kind
from keras_uq._values import check_numbers, outside
from keras_uq.losses._arguments import KERAS_KINDS, OPTION_KINDS, bind, class_docstring, class_signature, full_signature

FLOATING = ("float16", "bfloat16", "float32", "float64")
LARGEST = 3e38

Reduction = Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]


class SegmentationLoss(keras.losses.Loss):
    """Base class of all losses here: one value per image, `(batch,)`; Keras applies `sample_weight` and `reduction`.

    A subclass sets `function`. The arguments of that function, the options of every loss and the three arguments below
    are the arguments of the class, and `loss.alpha` is the value of an argument. The docstring of the subclass is
    completed with the explanations of all of them.

    Args:
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.
    """

    # `(y_true, y_pred, ..., **options) -> values of the images`.
    function: ClassVar[Callable[..., Any]]
    # Arguments that this loss received after its configuration had been recorded for the first time. At its default,
    # such an argument is left out of the configuration, which therefore equals the recorded one.
    added_later: ClassVar[tuple[str, ...]] = ()
    # Kinds of arguments that differ from those of the function, by name.
    kinds: ClassVar[dict[str, Kind]] = {}
    # Values of the function's arguments by name.
    arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        keyword = Parameter.KEYWORD_ONLY
        default_name = cls.function.__name__
        cls.__signature__ = class_signature(
            cls,
            [
                Parameter("name", keyword, default=default_name, annotation=str),
                Parameter("reduction", keyword, default="sum_over_batch_size", annotation=Reduction | None),
                Parameter("dtype", keyword, default=None, annotation=str | keras.DTypePolicy | None),
            ],
        )
        cls.__doc__ = class_docstring(cls, SegmentationLoss)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        kinds = {**OPTION_KINDS, **getattr(cls.function, "kinds", {}), **KERAS_KINDS, **cls.kinds}
        values = bind(cls.__name__, cls.__signature__, args, kwargs, kinds)
        _check_dtype(cls.__name__, values["dtype"])
        super().__init__(values["name"], values["reduction"], values["dtype"])
        of_function = full_signature(cls.function).parameters
        self.arguments = {name: value for name, value in values.items() if name in of_function}

    # Type checkers take the attributes from the stub, where a misspelt one is an error.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # Python calls this only for names that are no ordinary attributes, such as `loss.alpha`.
            arguments = self.__dict__.get("arguments", {})
            if name in arguments:
                return arguments[name]
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The value of each image, `(batch,)`."""
        y_true, of_batch = self._unpack(y_true)
        return type(self).function(y_true, y_pred, **{**self.arguments, **of_batch})

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The reduced loss. An empty batch has none: it gives an empty result.

        Args:
            y_true: Labels, `(batch, *spatial, classes)`.
            y_pred: Predictions, same shape.
            sample_weight: One weight per image, at least 0, `(batch,)` or `(batch, 1)`; or one number for all.
            mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

        Raises:
            ValueError: For inputs that are no numbers, for values outside their range if they are at hand (outside a
                compiled step), for weights of another shape (Keras would broadcast them silently to a wrong number),
                and for any weight with `over="batch"`, where images have no losses of their own.
        """
        check_numbers(self.name, y_true=y_true, y_pred=y_pred, **({} if mask is None else {"mask": mask}))
        if sample_weight is not None:
            check_numbers(self.name, sample_weight=sample_weight)
            if not hasattr(sample_weight, "shape"):
                sample_weight = keras.ops.convert_to_tensor(sample_weight, dtype=self.dtype)
            shape = tuple(keras.ops.shape(sample_weight))
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1) or not _one_per_image(shape, y_pred):
                raise ValueError(
                    f"{self.name} expects `sample_weight` with one number per image, (batch,) or (batch, 1). Received: "
                    f"shape={shape} for y_pred.shape={tuple(keras.ops.shape(y_pred))}. To leave voxels out, use "
                    f"`ignore_value` or the `mask` argument; to weight classes, `class_weights`."
                )
            if self.arguments["over"] == "batch":
                raise ValueError(
                    f'{self.name} pools the batch (`over="batch"`), so `sample_weight` cannot weight images. '
                    f'Use `over="image"`.'
                )
            sample_weight = keras.ops.reshape(sample_weight, (-1,)) if len(shape) == 2 else sample_weight
            check_weights(self.name, sample_weight)
        return super().__call__(self._pack(y_true, mask=mask), y_pred, sample_weight)

    @staticmethod
    def _pack(y_true, **of_batch):
        """Labels together with arguments of the function that change from batch to batch.

        `keras.losses.Loss.__call__` has no place for them. It converts every array of a dictionary, so that `call`
        receives them inside `y_true`.
        """
        of_batch = {name: value for name, value in of_batch.items() if value is not None}
        return {"y_true": y_true, **of_batch} if of_batch else y_true

    @staticmethod
    def _unpack(y_true):
        """Labels, and the arguments that `_pack` has put beside them, by name."""
        if not isinstance(y_true, dict):
            return y_true, {}
        of_batch = dict(y_true)
        return of_batch.pop("y_true"), of_batch

    def get_config(self) -> dict[str, Any]:
        """The configuration, with every argument."""
        defaults = type(self).__signature__.parameters
        arguments = {
            name: value
            for name, value in self.arguments.items()
            if name not in self.added_later or value != defaults[name].default
        }
        return {**super().get_config(), "dtype": self.dtype, **arguments}


def check_weights(caller, sample_weight):
    """Refuse NaN, infinite and negative weights, where they are at hand."""
    received = outside(keras.ops.cast(sample_weight, "float32"), 0, LARGEST)
    if received is not None:
        raise ValueError(f"{caller} expects finite weights of at least 0 as `sample_weight`. Received: {received}.")


def _one_per_image(shape, y_pred):
    """Whether weights of this shape are as many as the images; a number for all counts, as do unknown sizes."""
    batch = keras.ops.shape(y_pred)[0]
    return not shape or not isinstance(shape[0], int) or not isinstance(batch, int) or shape[0] == batch


def _check_dtype(caller, dtype):
    try:
        compute = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
    except (TypeError, ValueError):
        compute = None
    if compute not in FLOATING:
        raise ValueError(f"{caller} expects `dtype` to be one of {', '.join(FLOATING)}. Received: dtype={dtype!r}.")
