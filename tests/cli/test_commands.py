"""The commands, as a person uses them."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from saccade.cli import main
from saccade.cli.predict import waiting_lines
from saccade.errors import DataError
from saccade.tasks.load import load

SACCADE = [sys.executable, "-m", "saccade.cli"]


@pytest.fixture
def ask(capsys):
    """Run a command that must succeed; its lines on standard output and on standard error."""

    def run(*arguments: object) -> tuple[list[str], list[str]]:
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines()

    return run


def piped(run_folder: Path, text: str | bytes, *options: str) -> subprocess.CompletedProcess:
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([*SACCADE, "predict", run_folder, *options], input=data, capture_output=True)


def test_predict_answers_arguments_in_order(ask, run_folder):
    translate = load(run_folder)
    lines, warnings = ask("predict", run_folder, "123", "007", "399")
    assert lines == [translate(text).text for text in ("123", "007", "399")]
    assert not warnings


def test_predict_gives_one_line_for_each_input_whatever_it_is(run_folder):
    inputs = ["123", "", "1" * 50, "x42", "  ", "下午", "321"]
    done = piped(run_folder, "\n".join(inputs) + "\n")
    assert done.returncode == 0
    lines = done.stdout.decode().split("\n")
    assert len(lines) == len(inputs) + 1
    assert lines[0] == load(run_folder)("123").text
    assert lines[1] == lines[4] == ""
    warnings = done.stderr.decode().splitlines()
    assert len(warnings) == 5
    assert "the input is empty" in warnings[0]
    assert "longer than any training input: 51 tokens, at most 4 seen" in warnings[1]
    assert "never seen in training: x" in warnings[2]
    assert "never seen in training: 下 午" in warnings[4]


def test_predict_from_a_pipe_equals_predict_alone_however_it_is_batched(run_folder):
    inputs = [f"{n:03d}" for n in range(0, 400, 3)]
    expected = [answer.text for (answer,) in load(run_folder).answer(inputs)]
    assert piped(run_folder, "\n".join(inputs)).stdout.decode().splitlines() == expected


def test_predict_streams(run_folder):
    process = subprocess.Popen([*SACCADE, "predict", run_folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    for text in ("123", "321"):  # an answer comes before the next question is asked
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode().strip() == load(run_folder)(text).text
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


def test_a_closed_pipe_ends_quietly(run_folder):
    many = "\n".join(f"{n % 400:03d}" for n in range(20000))
    command = f"{sys.executable} -m saccade.cli predict {run_folder} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], input=many.encode(), capture_output=True)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
    assert done.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_while_waiting_for_a_line_is_one_line(run_folder):
    command = [*SACCADE, "predict", run_folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"123\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert process.stderr.read() == b"saccade: interrupted\n"
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def test_bytes_that_are_not_utf8_are_named_after_the_answers_before_them(run_folder):
    done = piped(run_folder, b"123\n\xff\n321\n")
    assert done.stdout.decode().splitlines() == [load(run_folder)("123").text]
    assert done.stderr.decode() == "saccade: standard input:2: expected UTF-8 text; got byte 0xff at column 1\n"
    assert done.returncode == 1


def test_lines_are_read_whole_and_in_order():
    text = "".join(f"line {n}\r\n" for n in range(3000)) + "last"
    lines = [line for some in waiting_lines(io.BytesIO(text.encode())) for line in some]
    assert lines == text.split("\r\n")
    assert list(waiting_lines(io.BytesIO(b""))) == []
    with pytest.raises(DataError):
        list(waiting_lines(io.BytesIO(b"\xff")))


def test_nbest_scores_and_beam(ask, run_folder):
    lines, _ = ask("predict", run_folder, "123", "456", "--nbest", 3, "--scores")
    assert len(lines) == 6
    for some in (lines[:3], lines[3:]):
        scores = [float(line.split("\t")[1]) for line in some]
        assert scores == sorted(scores, reverse=True)
        assert all(score <= 0 for score in scores)
        assert len({line.split("\t")[0] for line in some}) == 3
    assert ask("predict", run_folder, "123", "--beam", 5)[0] == [lines[0].split("\t")[0]]


def test_attention_as_json_lines(ask, run_folder, tmp_path):
    file = tmp_path / "attention.jsonl"
    lines, _ = ask("predict", run_folder, "123", "45", "", "--attention", file)
    records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [record["source"] for record in records] == ["123", "45", ""]
    assert [record["answers"][0]["answer"] for record in records] == lines
    for record in records[:2]:
        (answer,) = record["answers"]
        weights = np.array(answer["weights"])
        assert weights.shape == (len(answer["answer_tokens"]), len(record["source_tokens"]))
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-4)
        assert record["source_tokens"] == [*record["source"], "</s>"]


def test_evaluate(ask, run_folder, digits):
    (line,), _ = ask("evaluate", run_folder, "--data", digits, "--json")
    scores = json.loads(line)
    names = "loss loss_sum_per_example exact_match token_accuracy bleu chrf bleu_signature chrf_signature"
    names += " rouge1 rouge2 rougeL examples too_long seconds"
    assert list(scores) == names.split()
    assert scores["examples"] == 400
    # Every answer has five characters and an end.
    assert scores["loss_sum_per_example"] == pytest.approx(6 * scores["loss"], rel=1e-5)
    table, _ = ask("evaluate", run_folder, "--data", digits)
    assert [row.split()[0] for row in table] == names.split()
    pairs = [row.split("\t") for row in digits.read_text().splitlines()]
    translate = load(run_folder)
    right = sum(
        answer.text == target
        for (answer,), (_, target) in zip(translate.answer([s for s, _ in pairs]), pairs, strict=True)
    )
    assert scores["exact_match"] == right / 400


def test_show_and_describe(ask, run_folder, tmp_path):
    drawn, _ = ask("show", run_folder, "123")
    assert any(line.split()[:3] == ["1", "2", "3"] for line in drawn)
    silent, _ = ask("show", run_folder, "123", "--png", tmp_path / "m.png", "--page", tmp_path / "m.html")
    assert silent == []
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "m.html").read_text("utf-8")
    assert ask("show", run_folder, "123", "--page", tmp_path / "m.html", "--terminal")[0] == drawn
    described, _ = ask("describe", run_folder)
    text = "\n".join(described)
    for part in ("AdditiveAttention", "Total params", "level", "char", "training_pairs", "exact_match"):
        assert part in text


def test_sample_is_the_same_bytes_every_time():
    made = [
        subprocess.run([*SACCADE, "sample", "times", "--count", "500", "--seed", str(seed)], capture_output=True).stdout
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]
    assert made[0].count(b"\n") == made[0].count(b"\t") == 500


def test_the_python_of_the_readme(run_folder, tmp_path, capsys):
    import saccade

    translate = saccade.load(run_folder)
    answer = translate("123")
    assert answer.weights.shape == (len(answer.target), len(answer.source))
    saccade.show(answer, page=tmp_path / "map.html")
    assert answer.target[0] in capsys.readouterr().out


def test_mechanisms_lists_every_one_and_tells_of_each(ask):
    from saccade.attention.catalogue import MECHANISMS, OTHERS

    lines, _ = ask("mechanisms")
    named = {line.split()[0] for line in lines if line.strip()}
    assert {*MECHANISMS, *OTHERS} <= named
    for name, entry in (MECHANISMS | OTHERS).items():
        told = " ".join(" ".join(ask("mechanisms", name)[0]).split())
        for part in (name, entry.line, entry.formula, entry.paper, entry.kind):
            assert part in told


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ((), "[64, 50, 50, 128] (batch, query, key, dim), float32 on cpu: cpu"),
        (
            ("--batch", "1", "--queries", "1", "--keys", "5"),
            "[1, 1, 5, 128] (batch, query, key, dim), float32 on cpu: cpu",
        ),
        (("--dtype", "float64"), "[64, 50, 50, 128] (batch, query, key, dim), float64 on cpu: chunked"),
        (("--device", "mps"), "[64, 50, 50, 128] (batch, query, key, dim), float32 on mps: chunked"),
    ],
)
def test_kernels_tells_what_is_here_and_what_would_be_chosen(ask, options, chosen):
    lines, _ = ask("kernels", *options)
    assert f"scores {chosen}" in lines
    assert {"reference", "chunked", "unrolled", "cpu", "cuda"} <= {line.split()[0] for line in lines if line.strip()}
