"""The hook scripts for runners, run as the runners run them."""

import http.server
import json
import os
import shutil
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


def run(daemon, script, environment, status=0):
    """The script as a runner would run it; `None` stands for any failure."""
    own = {
        "PATH": os.environ["PATH"], "COUNTERSIGN": str(daemon.programs / "countersign"),
        "COUNTERSIGN_ADMIN_SOCKET": str(daemon.admin_socket), **environment,
    }
    done = subprocess.run([str(INTEGRATIONS / script)], env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == status if status is not None else done.returncode != 0, done
    return done


def variables(file):
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


class Hook:
    """GitHub's hook as a runner's worker runs it, with root's part where sudo(8) would run it: a copy of the script with a
    configuration of its own, and SUDO_UID from sudo."""

    def __init__(self, daemon, folder, **configuration):
        self.daemon = daemon
        self.environment_file = folder / "env"
        self.root = folder / "grant-create.sh"
        script = (INTEGRATIONS / "github-runner/grant-create.sh").read_text()
        self.root.write_text(script.replace("/etc/countersign/", f"{folder}/"))
        self.root.chmod(0o755)
        own = {"COUNTERSIGN": daemon.programs / "countersign", "COUNTERSIGN_ADMIN_SOCKET": daemon.admin_socket}
        lines = [f"{name}='{value}'\n" for name, value in {**own, **configuration}.items()]
        (folder / "github-runner.conf").write_text("".join(lines))
        self.worker = folder / "Runner.Worker"
        shutil.copy(os.path.realpath("/bin/sh"), self.worker)
        self.more = {}

    @property
    def environment(self):
        return {
            "PATH": os.environ["PATH"], "GITHUB_ENV": str(self.environment_file), "SUDO_UID": "4711",
            "COUNTERSIGN_GRANT_CREATE": str(self.root), **self.more,
        }

    def work(self, script, worker=None, **more):
        """The worker, which runs this; `:` keeps a shell from becoming its last command."""
        words = [str(worker or self.worker), "-c", f"{script}; status=$?; :; exit $status"]
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, **more)

    def start(self):
        return self.work(f"'{INTEGRATIONS}/github-runner/job-started.sh'")


def test_github_with_its_worker(runner, folder):
    """The grant is the caller's, and ends with the worker, also one that is killed: no hook has to run."""
    daemon, _ = runner
    hook = Hook(daemon, folder, COUNTERSIGN_WITHOUT_TOKEN="yes", COUNTERSIGN_TTL="2h")
    script = f'"{INTEGRATIONS}/github-runner/job-started.sh"; echo started; read -r _'
    worker = subprocess.Popen(
        [str(hook.worker), "-c", script], env=hook.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdout.readline() == b"started\n"
    made = grants(daemon)
    assert len(made) == 1 and made[0]["uid"] == 4711 and made[0]["rule"] == "deploy" and not made[0].get("claims")
    assert Path(variables(hook.environment_file)["COUNTERSIGN_SOCKET"]).is_socket()
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    eventually(lambda: grants(daemon) == [], "the grant to end with the worker")


def test_what_a_job_may_have_root_do(runner, folder):
    """Everything that a job can say to root's part: arguments and an environment are not believed."""
    daemon, _ = runner
    hook = Hook(daemon, folder)
    out = folder / "written"
    for arguments in [f"--out {out}", "--ttl 7d", "--admin-socket /tmp/x", "''"]:
        done = hook.work(f"'{hook.root}' {arguments} </dev/null")
        assert done.returncode == 1 and "takes no arguments" in done.stderr, done
    hook.more = {
        "COUNTERSIGN": f"/usr/bin/touch {out}", "COUNTERSIGN_ADMIN_SOCKET": str(folder / "evil.sock"),
        "COUNTERSIGN_WITHOUT_TOKEN": "yes", "COUNTERSIGN_RULE": "other",
    }
    done = hook.start()
    assert done.returncode == 1 and "the job has no token" in done.stderr
    done = hook.work(f"printf nonsense | '{hook.root}'")
    assert done.returncode == 1 and "the token proves nothing" in done.stderr, done
    # Somebody who is no job of a runner's has nothing to end it with.
    done = hook.work(f"printf nonsense | '{hook.root}'", worker="/bin/sh")
    assert done.returncode == 1 and "only a runner's hook may ask" in done.stderr
    assert grants(daemon) == [] and not out.exists()


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
    hook = Hook(daemon, folder)
    hook.more = {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?v=1",
    }
    # It lives on until its answer is looked at.
    words = f"'{INTEGRATIONS}/github-runner/job-started.sh' && echo started && read -r _"
    worker = subprocess.Popen(
        [str(hook.worker), "-c", words], env=hook.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert worker.stdout.readline() == b"started\n"
        made = grants(daemon)[0]
    finally:
        worker.communicate()
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == [("/token?v=1&audience=countersign", "bearer secret")]
    assert made["claimsIssuer"] == issuer.name and made["claims"]["repository"] == "org/app"


def response(folder, **job):
    """What GitLab gives the runner: nothing in it is the job's own word."""
    file = folder / "response.json"
    file.write_text(json.dumps({"id": 302, "job_info": {"project_id": 17}, "git_info": {"ref": "main"}, **job}))
    return str(file)


# All of it as a job's own file may set it.
FORGED = {
    "CUSTOM_ENV_CI_JOB_ID": "../victim", "CUSTOM_ENV_CI_PROJECT_PATH": "group/other", "CUSTOM_ENV_CI_COMMIT_REF_NAME": "v1",
}


@pytest.mark.parametrize("with_token", [False, True], ids=["said", "token"])
def test_gitlab(runner, folder, with_token):
    daemon, issuer = runner
    environment = {
        **FORGED, "COUNTERSIGN_STATE": str(folder / "state"), "COUNTERSIGN_UID": "2000000",
        "JOB_RESPONSE_FILE": response(folder),
    }
    if with_token:
        environment["CUSTOM_ENV_COUNTERSIGN_ID_TOKEN"] = issuer.token("ES256", project_path="group/app", ref="main")
    else:
        done = run(daemon, "gitlab-runner/prepare.sh", environment, status=2)
        assert "the job has no token" in done.stderr and grants(daemon) == []
        environment["COUNTERSIGN_WITHOUT_TOKEN"] = "yes"
    run(daemon, "gitlab-runner/prepare.sh", environment)
    made = grants(daemon)[0]
    assert made["uid"] == 2_000_000 and ("claimsIssuer" in made) == with_token
    if with_token:
        assert made["claims"]["project_path"] == "group/app"
    else:
        assert made["claims"] == {"project_id": "17", "ref": "main", "job_id": "302"}
    assert variables(folder / "state" / "302")["COUNTERSIGN_SOCKET"] == made["socket"]
    run(daemon, "gitlab-runner/cleanup.sh", environment)
    assert grants(daemon) == [] and not (folder / "state" / "302").exists()
    run(daemon, "gitlab-runner/cleanup.sh", environment)


def test_gitlab_believes_no_number_of_the_jobs(runner, folder):
    daemon, _ = runner
    (folder / "state").mkdir()
    victim = folder / "victim"
    victim.write_text("COUNTERSIGN_GRANT=x\n")
    environment = {**FORGED, "COUNTERSIGN_STATE": str(folder / "state"), "COUNTERSIGN_WITHOUT_TOKEN": "yes"}
    for number in [None, "../victim"]:
        if number:
            environment["JOB_RESPONSE_FILE"] = response(folder, id=number)
        run(daemon, "gitlab-runner/cleanup.sh", environment, status=None)
        run(daemon, "gitlab-runner/prepare.sh", environment, status=None)
        assert victim.exists() and grants(daemon) == []
