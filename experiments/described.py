"""Settings that know their label under a table and their key in a cell's configuration."""

import dataclasses


def setting(label, default=dataclasses.MISSING, key=None, none="all", optional=False):
    """A field of settings.

    Args:
        label: Its name under a table.
        default: As in `dataclasses.field`.
        key: Its name in the configuration of a training; `None` if no training depends on it.
        none: How a table names the value `None`.
        optional: `None` and `False` are left out of the configuration.
    """
    return dataclasses.field(default=default, metadata={"label": label, "key": key, "none": none, "optional": optional})


class Described:
    """Base of settings: their configuration and their description follow from the fields."""

    fixed = {}  # Keys of the configuration that do not depend on a field.

    def config(self):
        """What a training depends on, JSON types by recorded key."""
        config = dict(self.fixed)
        for field in dataclasses.fields(self):
            value, meta = getattr(self, field.name), field.metadata
            if isinstance(value, Described):
                config |= value.config()
            elif meta.get("key") and not (meta["optional"] and value in (None, False)):
                config[meta["key"]] = getattr(value, "recorded_name", value)
        return config

    def described(self):
        """`{label: value as text}` for the list of departures under a table."""
        described = {}
        for field in dataclasses.fields(self):
            value, meta = getattr(self, field.name), field.metadata
            if isinstance(value, Described):
                described |= value.described()
            elif meta.get("label"):
                described[meta["label"]] = meta["none"] if value is None else as_text(value)
        return described

    def tested(self):
        """What a cell depends on beside its training, JSON types by recorded key."""
        return {}

    def scaled(self, share):
        """The same for a training of `share` of the epochs."""
        return self


def as_text(value):
    """A value of a setting as a person reads it: `80 x 80`."""
    if isinstance(value, (tuple, list)):
        return " x ".join("as scanned" if part is None else str(part) for part in value)
    return str(getattr(value, "recorded_name", value))
