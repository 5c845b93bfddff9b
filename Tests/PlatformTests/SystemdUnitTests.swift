import Platform
import TestSupport
import Testing

private let cases: [(file: String, unit: String?)] = [
  // Version 2.
  ("0::/system.slice/actions.runner.service\n", "actions.runner.service"),
  ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
  ("0::/init.scope\n", "init.scope"),
  ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
  ("0::/system.slice/docker-0123abc.scope\n", "docker-0123abc.scope"),
  ("0::/system.slice/foo\\x2dbar.service", "foo\\x2dbar.service"),
  ("0::/system.slice/run-mnt.mount\n", "run-mnt.mount"),
  ("0::/deploy.service\n", "deploy.service"),
  // Below the unit anything can be named anything: it is the unit's own affair.
  ("0::/system.slice/runner.service/job/deploy.service\n", "runner.service"),
  ("0::/system.slice/runner.service/deploy.service\n", "runner.service"),
  (
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/actions.runner.service\n", "user@1000.service"
  ),
  ("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-9.scope/deploy.service\n", "cri-containerd-9.scope"),
  // Version 1 and hybrid.
  ("12:cpu,cpuacct:/x\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service"),
  ("1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", "a.service"),
  ("12:cpu,cpuacct:/system.slice/a.service\n", nil),
  ("5:name=elogind:/system.slice/a.service\n", nil),
  // Escapes of systemd.
  ("0::/system.slice/_cgroup.service\n", "cgroup.service"),
  ("0::/_system.slice/__a.service\n", "_a.service"),
  // No unit.
  ("", nil), ("\n", nil), ("0::/\n", nil), ("0::\n", nil), ("0:\n", nil), ("0\n", nil), ("::\n", nil),
  ("0::/system.slice\n", nil),
  ("0::/system.slice/\n", nil),
  ("0::/../../system.slice/a.service\n", nil),
  ("0::/../a.service\n", nil),
  ("0::system.slice/a.service\n", nil),
  ("0::/docker/0123abc\n", nil),
  ("0::/docker/0123abc/a.service\n", nil),
  ("0::/system.slice/a.service (deleted)\n", nil),
  ("0::/system.slice/.service\n", nil),
  ("0::/system.slice/@.service\n", nil),
  ("0::/system.slice//a.service\n", nil),
  ("0::/.slice/a.service\n", nil),
  ("0::/system.slice/a b.service\n", nil),
  ("0::/system.slice/ä.service\n", nil),
  ("0::/system.slice/a.service\u{0}\n", nil),
  ("0::/system.slice/a.services\n", nil),
  ("0::/system.slice/a:b.service\n", "a:b.service"),
  ("0:cpu:/system.slice/a.service\n", nil),
  ("1::/system.slice/a.service\n", nil),
  (
    "0::/system.slice/" + String(repeating: "a", count: 247) + ".service\n",
    String(repeating: "a", count: 247) + ".service"
  ),
  ("0::/system.slice/" + String(repeating: "a", count: 248) + ".service\n", nil),
]

@Suite struct SystemdUnitTests {
  @Test(arguments: cases.indices) func parse(_ index: Int) {
    let (file, unit) = cases[index]
    #expect(SystemdUnit.name(inControlGroups: Array(file.utf8)) == unit, "\(file)")
  }

  @Test func anyBytes() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    let parts = [
      "0::", "/", "system.slice", "a.service", "..", "_", ":", "\n", "1:name=systemd:", "\u{ff}", "@", ".scope",
    ]
    for _ in 0..<5000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0...8, using: &random) {
        bytes += Array((parts.randomElement(using: &random) ?? "").utf8)
        if Int.random(in: 0..<8, using: &random) == 0 { bytes.append(.random(in: 0 ... .max, using: &random)) }
      }
      if let unit = SystemdUnit.name(inControlGroups: bytes) {
        #expect(!unit.contains("/") && !unit.hasSuffix(".slice") && unit.contains("."), "seed \(seed)")
      }
    }
  }
}
