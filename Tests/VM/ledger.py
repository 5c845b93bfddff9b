"""What the daemon acknowledged to a load in the machine, and whether it is all still there."""

import json


class Ledger:
    def __init__(self, machine):
        self.machine = machine
        self.acknowledged: list[dict] = []
        self.others: list[dict] = []

    def start(self, clients: int = 3):
        self.load = self.machine.start_program(f"python3 /srv/host/load.py {clients}", user="job")
        return self

    def await_operations(self, count: int, timeout: float = 300) -> None:
        """Waits until so many more have been acknowledged."""
        wanted = self.load.received().count('"hash"') + count
        self.load.wait_until(lambda out: out.count('"hash"') >= wanted, f"{count} more operations", timeout)

    def close(self, text: str) -> None:
        """Takes the lines of a load that has ended; of one that was cut off, the last may be a part."""
        for line in text.split("\n")[:-1]:
            record = json.loads(line)
            (self.acknowledged if "hash" in record else self.others).append(record)
        failures = [record for record in self.others if "failed" in record]
        assert not failures, failures

    def stop(self) -> None:
        self.load.kill()
        self.load.wait()
        self.close(self.load.received())

    @property
    def credentials(self) -> list[dict]:
        return [record for record in self.acknowledged if record["new"]]

    def check(self) -> None:
        """Every acknowledged credential signs, every such signature is in the audit log, no counter came twice."""
        assert self.acknowledged and self.credentials
        lines = "".join(json.dumps(record) + "\n" for record in self.credentials)
        done = self.machine.run("python3 /srv/host/load.py check", user="job", input=lines, timeout=600)
        made = [json.loads(line) for line in done.out.splitlines()]
        assert made.pop() == {"checked": len(self.credentials)}
        logged = {}
        for line in self.machine.read("/var/log/countersign/audit.jsonl").splitlines():
            record = json.loads(line)
            if record.get("outcome") == "allowed" and "clientDataHash" in record:
                logged[record["clientDataHash"]] = record.get("signCount")
        missing = [one for one in self.acknowledged + made if logged.get(one["hash"]) != one["counter"]]
        assert not missing, f"signatures without a record: {missing}"
        counters = [one["counter"] for one in self.acknowledged + made]
        assert len(set(counters)) == len(counters), "a value of the counter came twice"
        assert min(one["counter"] for one in made) > max(one["counter"] for one in self.acknowledged)
