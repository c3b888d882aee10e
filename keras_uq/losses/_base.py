"""The class form of a loss: it remembers arguments, nothing more."""

import inspect

import keras

from keras_uq.losses._pair import Pair

register = keras.saving.register_keras_serializable("keras_uq")

OPTIONS = [
    parameter
    for name, parameter in inspect.signature(Pair).parameters.items()
    if name not in ("caller", "y_true", "y_pred", "mask")
]


# Arguments that configurations of before do not have, left out where they change nothing: the same loss has the same
# configuration, now and then.
LATER = {"penalty_gamma": 1.0, "squared": False, "variant": "recommended"}


class SegmentationLoss(keras.losses.Loss):
    """Base of every loss here: one value an image, `(batch,)`; Keras applies `sample_weight` and `reduction`.

    A subclass names its `function`, whose arguments (and the options of every loss) become those of the class.

    Args:
        name: Name in logs; the function's name by default.
        reduction: As in Keras.
        dtype: Type the inputs are converted to, `keras.config.floatx()` by default, also under mixed precision.
    """

    function = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        own = [
            parameter
            for name, parameter in inspect.signature(cls.function).parameters.items()
            if name not in ("y_true", "y_pred") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        options = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in OPTIONS]
        keras_arguments = [
            inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default=cls.function.__name__),
            inspect.Parameter("reduction", inspect.Parameter.KEYWORD_ONLY, default="sum_over_batch_size"),
            inspect.Parameter("dtype", inspect.Parameter.KEYWORD_ONLY, default=None),
        ]
        cls.__signature__ = inspect.Signature([*own, *options, *keras_arguments])

    def __init__(self, *args, **kwargs):
        try:
            bound = type(self).__signature__.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}{type(self).__signature__}: {error}.") from None
        bound.apply_defaults()
        self.arguments = dict(bound.arguments)
        super().__init__(*(self.arguments.pop(name) for name in ("name", "reduction", "dtype")))
        if self.arguments["over"] not in ("image", "batch"):
            raise ValueError(
                f'{type(self).__name__} expects `over` to be "image" or "batch". '
                f"Received: over={self.arguments['over']!r}."
            )

    def __getattr__(self, name):
        # Only reached for names that are no ordinary attribute: the loss's own arguments, `loss.alpha`.
        arguments = self.__dict__.get("arguments", {})
        if name in arguments:
            return arguments[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def call(self, y_true, y_pred):
        y_true, mask = y_true if isinstance(y_true, tuple) else (y_true, None)
        return type(self).function(y_true, y_pred, mask=mask, **self.arguments)

    def __call__(self, y_true, y_pred, sample_weight=None, mask=None):
        """The reduced loss.

        Args:
            y_true: Labels, `(batch, *spatial, classes)`.
            y_pred: Predictions, same shape.
            sample_weight: One weight an image, `(batch,)` or `(batch, 1)`.
            mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

        Raises:
            ValueError: For weights of another shape (Keras would broadcast them silently to a wrong number), and for
                any weight with `over="batch"`, where images have no losses of their own.
        """
        if sample_weight is not None:
            shape = tuple(keras.ops.shape(sample_weight))
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise ValueError(
                    f"{self.name} expects `sample_weight` with one number an image, (batch,) or (batch, 1). Received: "
                    f"shape={shape}. To leave voxels out, use `ignore_value` or the `mask` argument; to weight "
                    f"classes, `class_weights`."
                )
            if self.arguments["over"] == "batch":
                raise ValueError(
                    f'{self.name} pools the batch (`over="batch"`), so `sample_weight` cannot weight images. '
                    f'Use `over="image"`.'
                )
            sample_weight = keras.ops.reshape(sample_weight, (-1,)) if len(shape) == 2 else sample_weight
        # Keras maps its conversion over the tuple; `call` takes it apart.
        return super().__call__(y_true if mask is None else (y_true, mask), y_pred, sample_weight)

    def get_config(self):
        arguments = {name: value for name, value in self.arguments.items() if name not in LATER or value != LATER[name]}
        return {**super().get_config(), "dtype": self.dtype, **arguments}
