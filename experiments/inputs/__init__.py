"""What cells are trained and tested on: prepared datasets, their cases, and the batches made of them."""
