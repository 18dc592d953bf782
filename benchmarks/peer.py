"""The web application of common tutorials, for `bench_peer.py`: Flask, `predict`, SQLite.

    flask --app "benchmarks.peer:create('model.keras', 'films.sqlite3')" run

It has no accounts, no checks of the file, no scope gate and no record of who looked.
"""

import io
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask, render_template_string, request
from PIL import Image

PAGE = "<!doctype html><title>Result</title><h1>{{ label }}</h1><p>{{ probability }}</p>"


def create(model_file: str, database: str) -> Flask:
    """Return the application.

    Args:
        model_file: a `.keras` file with the output `logit`, positive for pneumonia; empty for the
            tutorials' CNN, untrained.
        database: SQLite file for the images; created if missing.
    """
    from mlcore.engine.training import architectures

    model = (
        architectures.read(Path(model_file))
        if model_file
        else architectures.build("seed_cnn", size=64)
    )
    size = model.input.shape[1]
    with sqlite3.connect(database) as connection:
        connection.execute("create table if not exists film (name text, image blob, label text)")
    app = Flask(__name__)

    @app.get("/")
    def home() -> str:
        return "ok"

    @app.post("/predict")
    def predict() -> Any:
        data = request.files["film"].read()
        image = Image.open(io.BytesIO(data)).convert("L").resize((size, size))
        film = np.asarray(image, np.float32)[np.newaxis, :, :, np.newaxis] / 255
        logit = float(model.predict(film, verbose=0)["logit"][0, 0])
        label = "PNEUMONIA" if logit >= 0 else "NORMAL"
        with sqlite3.connect(database) as connection:
            connection.execute(
                "insert into film values (?, ?, ?)", (request.form["name"], data, label)
            )
        return render_template_string(PAGE, label=label, probability=logit)

    return app
