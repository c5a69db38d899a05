"""Keras' additive attention, forward and backward, once for every line on standard input; answers with the seconds.

usage: KERAS_BACKEND=jax python benchmarks/keras_additive.py BATCH QUERIES KEYS DIM
"""

import os
import sys
import time

import numpy as np

BACKEND = os.environ["KERAS_BACKEND"]
import keras  # noqa: E402

batch, queries, keys, dim = map(int, sys.argv[1:])
random = np.random.default_rng(0)
arrays = [random.standard_normal(shape, "float32") for shape in ((batch, queries, dim), *[(batch, keys, dim)] * 2)]
toward = random.standard_normal((batch, queries, dim), "float32")
layer = keras.layers.AdditiveAttention()
layer.build([array.shape for array in arrays])

if BACKEND == "jax":
    import jax

    scale = layer.trainable_variables[0].value
    arrays = [jax.numpy.asarray(array) for array in arrays]

    def loss(scale, query, value, key):
        found, _ = layer.stateless_call([scale], [], [query, value, key])
        return (found * toward).sum()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))

    def run() -> None:
        jax.block_until_ready(gradient(scale, *arrays))
else:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    arrays = [torch.from_numpy(array).requires_grad_() for array in arrays]
    toward = torch.from_numpy(toward)
    variables = [variable.value for variable in layer.trainable_variables]

    def run() -> None:
        torch.autograd.grad((layer(arrays) * toward).sum(), [*arrays, *variables])


run()
run()
for _ in sys.stdin:
    begin = time.perf_counter()
    run()
    print(time.perf_counter() - begin, flush=True)
