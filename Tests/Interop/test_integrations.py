"""The hook scripts for runners, run as the runners run them."""

import http.server
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from grants import Issuer, grants
from harness import eventually
from test_policy import rule

INTEGRATIONS = Path(__file__).resolve().parents[2] / "integrations"
BOTH = ["register", "authenticate"]


@pytest.fixture
def runner(make_daemon, folder):
    issuer = Issuer(folder)
    daemon = make_daemon()
    rules = [rule("deploy", ["deploy.example.com"], BOTH, [{"grant": True}])]
    daemon.write_configuration(json.dumps({"tpm": {"allowSoftware": True}, "rules": rules, "issuers": [issuer.entry()]}))
    daemon.start()
    return daemon, issuer


def run(daemon, script, environment, parent=None):
    own = {
        "PATH": os.environ["PATH"], "COUNTERSIGN": str(daemon.programs / "countersign"),
        "COUNTERSIGN_ADMIN_SOCKET": str(daemon.admin_socket), **environment,
    }
    words = [*(parent or []), str(INTEGRATIONS / script)]
    done = subprocess.run(words, env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def variables(file):
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


GITHUB = {"GITHUB_REPOSITORY": "org/app", "GITHUB_REF": "refs/heads/main", "GITHUB_RUN_ID": "17", "GITHUB_ACTOR": "somebody"}


def test_github(runner, folder):
    daemon, _ = runner
    file = folder / "env"
    run(daemon, "github-runner/job-started.sh", {**GITHUB, "GITHUB_ENV": str(file)})
    made = variables(file)
    assert grants(daemon)[0]["claims"] == {
        "repository": "org/app", "ref": "refs/heads/main", "run_id": "17", "actor": "somebody",
    }
    assert Path(made["COUNTERSIGN_SOCKET"]).is_socket()
    run(daemon, "github-runner/job-completed.sh", made)
    assert grants(daemon) == []
    # A grant that has ended by itself is no failure, and neither is a job without one.
    assert "had ended already" in run(daemon, "github-runner/job-completed.sh", made).stderr
    run(daemon, "github-runner/job-completed.sh", {})


def test_github_with_its_worker(runner, folder):
    """A worker that is killed runs no hook: the grant ends with it."""
    daemon, _ = runner
    file = folder / "env"
    script = f'"{INTEGRATIONS}/github-runner/job-started.sh"; echo started; read -r _'
    own = {
        "PATH": os.environ["PATH"], "COUNTERSIGN": str(daemon.programs / "countersign"),
        "COUNTERSIGN_ADMIN_SOCKET": str(daemon.admin_socket), **GITHUB, "GITHUB_ENV": str(file),
    }
    worker = subprocess.Popen(["sh", "-c", script], env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout.readline() == b"started\n"
    assert len(grants(daemon)) == 1
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    eventually(lambda: grants(daemon) == [], "the grant to end with the worker")


def test_github_with_a_token(runner, folder):
    daemon, issuer = runner
    asked = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            answer = json.dumps({"count": 1, "value": issuer.token(repository="org/app", ref="refs/heads/main")}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        run(
            daemon, "github-runner/job-started.sh",
            {
                **GITHUB, "GITHUB_ENV": str(folder / "env"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?v=1",
            },
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == [("/token?v=1&audience=countersign", "bearer secret")]
    made = grants(daemon)[0]
    assert made["claimsIssuer"] == issuer.name and made["claims"]["repository"] == "org/app"


GITLAB = {
    "CUSTOM_ENV_CI_JOB_ID": "302", "CUSTOM_ENV_CI_PROJECT_PATH": "group/app", "CUSTOM_ENV_CI_COMMIT_REF_NAME": "main",
    "CUSTOM_ENV_CI_PIPELINE_ID": "90",
}


@pytest.mark.parametrize("with_token", [False, True], ids=["said", "token"])
def test_gitlab(runner, folder, with_token):
    daemon, issuer = runner
    environment = {**GITLAB, "COUNTERSIGN_STATE": str(folder / "state"), "COUNTERSIGN_UID": "2000000"}
    if with_token:
        environment["CUSTOM_ENV_COUNTERSIGN_ID_TOKEN"] = issuer.token("ES256", project_path="group/app", ref="main")
    run(daemon, "gitlab-runner/prepare.sh", environment)
    made = grants(daemon)[0]
    assert made["uid"] == 2_000_000 and made["claims"]["project_path"] == "group/app"
    assert ("claimsIssuer" in made) == with_token
    assert variables(folder / "state" / "302")["COUNTERSIGN_SOCKET"] == made["socket"]
    run(daemon, "gitlab-runner/cleanup.sh", environment)
    assert grants(daemon) == [] and not (folder / "state" / "302").exists()
    run(daemon, "gitlab-runner/cleanup.sh", environment)
