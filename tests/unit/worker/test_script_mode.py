"""A script meets what sagemaker-training promises it: words, variables, folders, exit code, failure."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.unit.worker.host import Host, channel, job, metric, unpacked

SHOW = """
import json, os, sys
json.dump({"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd()},
          open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w"))
"""


def seen(host: Host) -> dict:
    return json.loads((host.ml() / "model" / "seen.json").read_text())


def test_hyperparameters_become_sorted_arguments(host: Host) -> None:
    raw = {"zeta": '"abc"', "alpha": "0.5", "b": "true", "raw": "plain text", "none": "null", "map": '{"b": 1, "a": 2}'}
    code, output, _ = host.run(host.script({"train.py": SHOW}, hyperparameters=raw))
    assert code == 0, output
    assert seen(host)["argv"] == [
        "train.py", "--alpha", "0.5", "-b", "True", "--map", "a=2,b=1", "--none", "", "--raw", "plain text",
        "--zeta", "abc",
    ]  # fmt: skip
    assert seen(host)["cwd"] == str(host.ml() / "code")


def test_variables_are_those_of_the_toolkit(host: Host) -> None:
    host.inputs.put("s3://data/train/a.csv", "1")
    what = host.script(
        {"train.py": SHOW},
        hyperparameters={"max-depth": "3", "sagemaker_container_log_level": "20"},
        channels=(channel("train", "s3://data/train/", content_type="text/csv"),),
        variables={"MINE": "yes"},
    )
    assert host.run(what)[0] == 0
    env, ml = seen(host)["env"], host.ml()
    assert env["SM_MODEL_DIR"] == str(ml / "model")
    assert env["SM_CHANNEL_TRAIN"] == str(ml / "input/data/train")
    assert json.loads(env["SM_CHANNELS"]) == ["train"]
    assert json.loads(env["SM_HPS"]) == {"max-depth": 3}
    assert env["SM_HP_MAX-DEPTH"] == "3"
    assert json.loads(env["SM_USER_ARGS"]) == ["--max-depth", "3"]
    assert (json.loads(env["SM_HOSTS"]), env["SM_CURRENT_HOST"]) == (["algo-1"], "algo-1")
    assert int(env["SM_NUM_CPUS"]) >= 1
    assert env["SM_NUM_GPUS"] == "0"
    assert env["SM_OUTPUT_DATA_DIR"] == str(ml / "output/data")
    assert env["SM_INPUT_DIR"] == str(ml / "input")
    assert env["SM_INPUT_CONFIG_DIR"] == str(ml / "input/config")
    assert env["SM_MODULE_DIR"] == str(ml / "code")
    assert (env["SM_MODULE_NAME"], env["SM_USER_ENTRY_POINT"]) == ("train", "train.py")
    assert env["SM_LOG_LEVEL"] == "20"
    assert env["SM_MASTER_ADDR"] == env["MASTER_ADDR"] == "algo-1"
    assert json.loads(env["SM_INPUT_DATA_CONFIG"])["train"] == {
        "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None",
        "ContentType": "text/csv",
    }  # fmt: skip
    assert json.loads(env["SM_TRAINING_ENV"])["hyperparameters"] == {"max-depth": 3}
    assert env["TRAINING_JOB_NAME"] == "iris-1"
    assert env["TRAINING_JOB_ARN"] == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/iris-1"
    assert (env["AWS_REGION"], env["MINE"]) == ("eu-west-1", "yes")
    assert env["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert not [name for name in env if name.startswith("MODELYARD_")]


def test_the_first_line_says_which_versions_run(host: Host) -> None:
    _, output, _ = host.run(host.script({"train.py": "print('mine')"}))
    first, second = output.splitlines()[:2]
    assert first.startswith("modelyard: image 683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn")
    assert f"answered by Python {sys.version.split()[0]}, scikit-learn " in first
    assert second == "mine"


def test_a_failing_script_is_reported_as_the_toolkit_does(host: Host) -> None:
    files = {"train.py": "print('working')\ndef go():\n    raise ValueError('no such column')\ngo()"}
    code, output, left = host.run(host.script(files, hyperparameters={"k": "1"}))
    assert code == 1
    assert "Traceback" in output
    assert left.failure == (
        "ExecuteUserScriptError:\nExitCode 1\n"
        "ErrorMessage \"raise ValueError('no such column')\nValueError: no such column\"\n"
        f'Command "{sys.executable} train.py -k 1"'
    )
    assert left.model_artifact is None


@pytest.mark.parametrize("broken", ["train.py", "columns.py"])
def test_a_syntax_error_names_file_and_line(host: Host, broken: str) -> None:
    files = {"train.py": "import columns", "columns.py": ""} | {broken: "print('working')\nraise ValueError('a'"}
    code, _, left = host.run(host.script(files))
    assert code == 1
    said = re.search(r'ErrorMessage "File "(.+)", line 2\n(.+)\n(.+)"\nCommand', str(left.failure))
    assert said, left.failure
    assert said[1].endswith(broken)
    assert said.groups()[1:] == ("raise ValueError('a'", "SyntaxError: '(' was never closed")


def test_words_that_the_script_left_itself_stay(host: Host) -> None:
    script = "import sys; open(sys.argv[2] + '/failure', 'w').write('my own reason'); sys.exit(3)"
    what = host.script({"train.py": script}, hyperparameters={"to": json.dumps(str(host.ml() / "output"))})
    code, _, left = host.run(what)
    assert (code, left.failure) == (3, "my own reason")


def test_a_shell_program_runs_with_quoted_arguments(host: Host) -> None:
    what = host.script({"go.sh": 'echo "[$2]" "$0"'}, "go.sh", hyperparameters={"say": '"a b; $(exit 1)"'})
    code, output, _ = host.run(what)
    assert (code, output.splitlines()[-1]) == (0, "[a b; $(exit 1)] ./go.sh")


def test_a_module_of_the_source_folder_runs(host: Host) -> None:
    files = {"pkg/__init__.py": "", "pkg/train.py": "print(__name__, __package__)"}
    code, output, _ = host.run(host.script(files, "pkg.train"))
    assert (code, output.splitlines()[-1]) == (0, "__main__ pkg")


def test_a_container_entrypoint_runs_verbatim(host: Host) -> None:
    what = job(entrypoint=("/bin/bash",), arguments=("-c", 'echo "$0" "$TRAINING_JOB_NAME" ${SM_HPS:-none}; exit 5'))
    code, output, left = host.run(what)
    assert (code, output.splitlines()[-1]) == (5, "/bin/bash iris-1 none")
    assert left.failure is None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"sagemaker_program": '"../train.py"'}, "must be a path inside the source directory"),
        ({"sagemaker_program": '"-c"'}, "must be a path inside the source directory"),
        ({"sagemaker_program": '"other.py"'}, "other.py is not in the source directory, which holds: train.py"),
        ({"sagemaker_program": '""'}, "No program to run"),
        ({"sagemaker_mpi_enabled": "true"}, "asks for MPI"),
    ],
)
def test_what_cannot_be_started_says_why(host: Host, parameters: dict[str, str], said: str) -> None:
    code, output, left = host.run(host.script({"train.py": ""}, hyperparameters=parameters))
    assert code == 1
    assert said in output
    assert said in str(left.failure)


def test_results_are_packed_and_stored(host: Host) -> None:
    script = """
import os
m, d = os.environ["SM_MODEL_DIR"], os.environ["SM_OUTPUT_DATA_DIR"]
os.makedirs(m + "/sub"); open(m + "/sub/weights.bin", "w").write("w" * 10)
os.symlink("sub/weights.bin", m + "/latest"); os.symlink("/etc/passwd", m + "/outside")
os.mkfifo(m + "/fifo"); open(d + "/report.txt", "w").write("ok")
"""
    code, output, left = host.run(host.script({"train.py": script}))
    assert code == 0, output
    assert left.model_artifact == "s3://out/results/iris-1/output/model.tar.gz"
    model = unpacked(host.inputs.get(left.model_artifact))
    assert model == {"sub/weights.bin": b"w" * 10, "latest": b"w" * 10}
    assert unpacked(host.inputs.get("s3://out/results/iris-1/output/output.tar.gz")) == {"report.txt": b"ok"}


def test_an_uncompressed_model_is_stored_file_by_file(host: Host) -> None:
    script = "import os; open(os.environ['SM_MODEL_DIR'] + '/m.bin', 'w').write('m')"
    _, _, left = host.run(host.script({"train.py": script}, output_compressed=False))
    assert left.model_artifact == "s3://out/results/iris-1/output/model/"
    assert host.inputs.names("s3://out/results") == ["results/iris-1/output/model/m.bin"]


def test_a_stop_is_forwarded_and_the_model_kept(host: Host) -> None:
    script = """
import os, signal, sys, time
def stop(*_):
    open(os.environ["SM_MODEL_DIR"] + "/partial", "w").write("half")
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
    what = host.script({"train.py": script})
    process = host.start(what)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "ready":
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 7
    left = host.staging.collect(what, host.folder)
    assert unpacked(host.inputs.get(str(left.model_artifact))) == {"partial": b"half"}
    assert left.failure is None


def test_a_worker_that_was_killed_leaves_its_model_to_the_server(host: Host) -> None:
    script = "import os, time; open(os.environ['SM_MODEL_DIR'] + '/m', 'w').write('m'); print('ready', flush=True)\n"
    what = host.script({"train.py": script + "time.sleep(60)"})
    process = host.start(what)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "ready":
        assert process.poll() is None
    (group,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    signal.pidfd_send_signal(os.pidfd_open(int(group)), signal.SIGKILL)
    left = host.staging.collect(what, host.folder)
    assert unpacked(host.inputs.get(str(left.model_artifact))) == {"m": b"m"}


def test_a_signal_that_ends_the_script_is_its_exit_code(host: Host) -> None:
    code, _, left = host.run(host.script({"train.py": "import os; os.kill(os.getpid(), 9)"}))
    assert code == 137
    assert "ExitCode -9" in str(left.failure)
    assert "OutOfMemory" in str(left.failure)


def test_output_without_line_ends_and_what_outlives_the_script_do_not_hang(host: Host) -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '60']); sys.stdout.write('100%|####|\\r half a line')"
    code, output, _ = host.run(host.script({"train.py": script}))
    assert code == 0
    assert output.endswith("half a line\n")


def test_metrics_come_from_the_lines(host: Host) -> None:
    script = (
        "print('epoch 1 loss=0.5;'); print('loss=nan;'); print('[3]\\ttrain-rmse:1.25'); print('loss=0.25;', end='')"
    )
    rmse = r".*\[[0-9]+\].*#011train-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
    definitions = (metric("loss", r"loss=(\S+);"), metric("rmse", rmse), metric("bad", "("), metric("none", "loss"))
    _, output, left = host.run(host.script({"train.py": script}, metrics=definitions))
    assert [(m.name, m.value) for m in left.metrics] == [("loss", 0.5), ("rmse", 1.25), ("loss", 0.25)]
    assert "metric 'bad': the regular expression '(' cannot be used" in output


def test_a_regular_expression_that_never_ends_stalls_nothing(host: Host) -> None:
    script = "print('a' * 40 + '!')\nfor n in range(3): print(f'loss={n};')"
    definitions = (metric("evil", "(a+)+$"), metric("loss", "loss=([0-9.]+);"))
    code, output, left = host.run(host.script({"train.py": script}, metrics=definitions))
    assert code == 0
    assert "loss=2;" in output
    assert [m.value for m in left.metrics if m.name == "loss"] == [0, 1, 2]


def test_models_of_several_hosts_are_merged(host: Host) -> None:
    script = "import os; h = os.environ['SM_CURRENT_HOST']; m = os.environ['SM_MODEL_DIR']\n"
    script += "open(f'{m}/{h}', 'w').write(h); open(f'{m}/same', 'w').write(h)"
    code, _, left = host.run(host.script({"train.py": script}, instances=2))
    assert code == 0
    model = unpacked(host.inputs.get(str(left.model_artifact)))
    assert model == {"algo-1": b"algo-1", "algo-2": b"algo-2", "same": b"algo-1"}


def test_results_that_cannot_be_packed_fail_the_job(host: Host) -> None:
    script = f"import os; os.rmdir({str(host.folder / 'out' / 'algo-1')!r})"
    code, output, left = host.run(host.script({"train.py": script}))
    assert code == 1
    assert "the results could not be packed" in output
    assert "could not be packed" in str(left.failure)


def test_two_channels_that_want_one_name_say_so(host: Host) -> None:
    host.inputs.put("s3://data/a", "x")
    channels = (channel("train", "s3://data/a", mode="Pipe"), channel("train_0", "s3://data/a"))
    code, output, _ = host.run(host.script({"train.py": ""}, channels=channels))
    assert code == 1
    assert "The pipe of channel 'train' cannot be made" in output
