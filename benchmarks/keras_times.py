"""The time translator of the attention tutorials in Keras 3 with JAX: the peer of benchmarks/times.py.

BiLSTM(32) -> additive attention (tanh 8, relu 1) -> LSTM(128) -> softmax, Adam(0.05, decay 0.04, clip 1), batches of
100, 30 epochs, as the tutorials have it; it pads to 50 characters and knows no end token.

usage: KERAS_BACKEND=jax python keras_times.py TRAIN.tsv TEST.tsv SEED
Prints one JSON object. The clock covers training alone, compilation included; measuring is outside it.
"""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

WIDTH, STEPS, EPOCHS, STATE = 50, 5, 30, 128


def read(path: str) -> list[list[str]]:
    return [line.split("\t") for line in Path(path).read_text("utf-8").splitlines()]


def encode(pairs: list[list[str]], source: dict[str, int], target: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    x = np.full((len(pairs), WIDTH), len(source), "int32")
    for row, (text, _) in enumerate(pairs):
        x[row, : len(text)] = [source.get(c, len(source) + 1) for c in text][:WIDTH]
    y = np.array([[target[c] for c in text] for _, text in pairs])
    return np.eye(len(source) + 2, dtype="float32")[x], np.eye(len(target), dtype="float32")[y]


def network(source: int, target: int) -> keras.Model:
    text = layers.Input((WIDTH, source))
    states = layers.Bidirectional(layers.LSTM(32, return_sequences=True))(text)
    repeat, join = layers.RepeatVector(WIDTH), layers.Concatenate()
    hidden, energy = layers.Dense(8, "tanh"), layers.Dense(1, "relu")
    softmax, read = layers.Softmax(axis=1), layers.Dot(axes=1)
    cell, output = layers.LSTM(STATE, return_state=True), layers.Dense(target, "softmax")
    start = layers.Lambda(lambda z: ops.zeros((ops.shape(z)[0], STATE)), output_shape=(STATE,))(states)
    h = c = start
    written = []
    for _ in range(STEPS):
        weights = softmax(energy(hidden(join([states, repeat(h)]))))
        h, _, c = cell(read([weights, states]), initial_state=[h, c])
        written.append(output(h))
    return keras.Model(text, layers.Lambda(lambda z: ops.stack(z, 1), output_shape=(STEPS, target))(written))


class Clock(keras.callbacks.Callback):
    """Measures after every epoch, off the clock."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        super().__init__()
        self.x, self.y, self.epochs, self.spent = x, y, [], 0.0

    def on_train_begin(self, logs=None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.spent += time.perf_counter() - self.started
        loss, exact = measure(self.model, self.x, self.y)
        self.epochs.append({"seconds": self.spent, "loss_sum_per_example": loss, "exact_match": exact})
        self.started = time.perf_counter()


def measure(model: keras.Model, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    p = model.predict(x, verbose=0, batch_size=500)
    loss = -np.log(np.maximum((p * y).sum(-1), 1e-12)).sum(1).mean()
    return float(loss), float((p.argmax(-1) == y.argmax(-1)).all(1).mean())


def main() -> None:
    train, test, seed = read(sys.argv[1]), read(sys.argv[2]), int(sys.argv[3])
    source = {c: i for i, c in enumerate(sorted({c for text, _ in train for c in text}))}
    target = {c: i for i, c in enumerate("0123456789:")}
    keras.utils.set_random_seed(seed)
    x, y = encode(train, source, target)
    model = network(len(source) + 2, len(target))
    decay = keras.optimizers.schedules.InverseTimeDecay(0.05, 1, 0.04)
    model.compile(
        optimizer=keras.optimizers.Adam(decay, clipnorm=1.0),
        loss=lambda true, p: STEPS * ops.mean(keras.losses.categorical_crossentropy(true, p)),
    )
    clock = Clock(*encode(test, source, target))
    model.fit(x, y, epochs=EPOCHS, batch_size=100, verbose=0, callbacks=[clock])
    print(json.dumps({"keras": keras.__version__, "backend": keras.backend.backend(), "epochs": clock.epochs}))


if __name__ == "__main__":
    main()
