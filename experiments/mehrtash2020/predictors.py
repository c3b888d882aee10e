from keras_uq.inference import Ensemble, MCDropout


def single(cell):
    return Ensemble([cell.model])


def sampled(cell):
    return MCDropout(cell.model, cell.settings.samples, cell.seed)


def ensemble(cell):
    return None


def tempered(cell):
    return None
