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

private let id = String(repeating: "0123456789abcdef", count: 4)

private let containers: [(path: String, slice: String?, container: String?)] = [
  // systemd's names for what root's engines asked for.
  ("/system.slice/docker-\(id).scope", "system.slice", id),
  ("/machine.slice/libpod-\(id).scope/container", "machine.slice", id),
  ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-\(id).scope", "kubepods-pod1.slice", id),
  (
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/crio-\(id).scope",
    "kubepods-besteffort-pod1.slice", id
  ),
  ("/system.slice/nerdctl-\(id).scope", "system.slice", id),
  // Engines that make groups themselves.
  ("/docker/\(id)", nil, id),
  ("/kubepods/burstable/pod1/\(id)", nil, id),
  ("/kubepods/pod1/crio-\(id)", nil, id),
  ("/libpod_parent/libpod-\(id)", nil, id),
  // Nobody but root makes those; these anybody can.
  ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-\(id).scope", "user-1000.slice", nil),
  ("/system.slice/runner.service/docker-\(id).scope", "system.slice", nil),
  ("/system.slice/runner.service/docker/\(id)", "system.slice", nil),
  ("/runner/docker/\(id)", nil, nil),
  ("/docker/build/\(id)", nil, nil),
  // The monitor beside the container is not inside.
  ("/machine.slice/libpod-conmon-\(id).scope", "machine.slice", nil),
  ("/system.slice/evil-\(id).scope", "system.slice", nil),
  ("/system.slice/docker-\(id.dropLast()).scope", "system.slice", nil),
  ("/system.slice/docker-\(id)0.scope", "system.slice", nil),
  ("/system.slice/docker-\(id.uppercased()).scope", "system.slice", nil),
  ("/system.slice/docker-\(id).service", "system.slice", nil),
  ("/../docker/\(id)", nil, nil),
  ("/docker/../\(id)", nil, nil),
  ("/init.scope", nil, nil),
  ("/system.slice", nil, nil),
  ("/a.slice/a-b.slice/c.service", "a-b.slice", nil),
]

@Suite struct ControlGroupTests {
  @Test(arguments: cases.indices) func parse(_ index: Int) {
    let (file, unit) = cases[index]
    #expect(ControlGroup(file: Array(file.utf8)).unit == unit, "\(file)")
  }

  @Test(arguments: containers.indices) func slicesAndContainers(_ index: Int) {
    let (path, slice, container) = containers[index]
    for file in ["0::\(path)\n", "3:cpu:/x\n1:name=systemd:\(path)\n0::/\n"] {
      let group = ControlGroup(file: Array(file.utf8))
      #expect(group.slice == slice && group.container == container, "\(file)")
    }
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
      let group = ControlGroup(file: bytes)
      #expect(group.container == nil || group.container?.utf8.count == 64, "seed \(seed)")
      #expect(group.slice?.hasSuffix(".slice") ?? true, "seed \(seed)")
      if let unit = group.unit {
        #expect(!unit.contains("/") && !unit.hasSuffix(".slice") && unit.contains("."), "seed \(seed)")
      }
    }
  }
}
