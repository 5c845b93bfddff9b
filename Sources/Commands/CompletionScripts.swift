/// Shells for which there are completions.
enum Shell: String, CaseIterable {
  case bash
  case zsh
  case fish

  /// The script that completes the program's command line in this shell.
  func script(for program: ProgramOutline) -> String {
    let made = "Completion of \(program.name) for \(rawValue), made from its --help."
    return switch self {
    case .bash: BashCompletion(program).script(made)
    case .zsh: ZshCompletion(program).script(made)
    case .fish: FishCompletion(program).script(made)
    }
  }
}

/// bash knows words only. It takes `--in=FILE` for three of them.
private struct BashCompletion {
  let program: ProgramOutline

  init(_ program: ProgramOutline) {
    self.program = program
  }

  func script(_ made: String) -> String {
    """
    # \(made)
    \(function)() {
      local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
      if [[ $current == = ]]; then
        current=
      elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
      fi
      local words="${COMP_WORDS[*]:1:COMP_CWORD-1} " choices= files= folders= others=
      case $words in
    \(program.groups.map(choice(ofGroup:)).joined())\(commands)  esac
      if [[ $files == *" $previous "* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      elif [[ $folders == *" $previous "* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
      elif [[ $others != *" $previous "* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
      fi
    }
    complete -F \(function) \(program.name)

    """
  }

  private var function: String { "_" + program.name.replacing("-", with: "_") }

  private func choice(ofGroup group: String) -> String {
    let kinds = program.continuations(of: [group]).map(\.word) + ["--help"]
    return branch("\"\(group) \"", choices: kinds, options: [])
  }

  /// Those of two words first, and last what stands before any command.
  private var commands: String {
    program.commands.sorted { $0.words.count > $1.words.count }.map { command in
      let words = command.words.joined(separator: " ")
      let choices = program.continuations(of: command.words).map(\.word) + command.operands
      return branch(
        words.isEmpty ? "*" : "\"\(words) \"*", choices: choices + command.options.map(\.name),
        options: command.options)
    }.joined()
  }

  private func branch(_ pattern: String, choices: [String], options: [ProgramOutline.Option]) -> String {
    var lines = ["    \(pattern))", "      choices=\"\(choices.joined(separator: " "))\""]
    for (variable, kind) in [("files", ProgramOutline.ValueKind.file), ("folders", .folder), ("others", .other)] {
      let names = options.filter { $0.kind == kind }.map(\.name)
      if !names.isEmpty { lines.append("      \(variable)=\" \(names.joined(separator: " ")) \"") }
    }
    return (lines + ["      ;;", ""]).joined(separator: "\n")
  }
}

private struct ZshCompletion {
  let program: ProgramOutline

  init(_ program: ProgramOutline) {
    self.program = program
  }

  func script(_ made: String) -> String {
    let plain = program.commands.filter { $0.words.isEmpty }
    let body =
      program.firstWords.isEmpty
      ? plain.map { arguments($0, indent: "  ") }.joined()
      : """
        local -a choices
        if (( CURRENT == 2 )); then
          choices=(\(described(program.firstWords)))
          _describe command choices
      \(plain.map { arguments($0, indent: "    ") }.joined())    return
        fi
        case $words[2] in
      \(program.firstWords.map { first($0.word) }.joined())  esac

      """
    return """
      #compdef \(program.name)
      # \(made)
      \(function)() {
      \(body)}
      \(function) "$@"

      """
  }

  private var function: String { "_" + program.name }

  private func first(_ word: String) -> String {
    if let command = program.commands.first(where: { $0.words == [word] }) {
      return "    \(word))\n      shift words; (( CURRENT-- ))\n\(arguments(command, indent: "      "))      ;;\n"
    }
    let kinds = program.continuations(of: [word])
    var lines = [
      "    \(word))", "      if (( CURRENT == 3 )); then", "        choices=(\(described(kinds)))",
      "        _describe command choices", "        return", "      fi", "      shift words; (( CURRENT-- ))",
      "      case $words[2] in",
    ]
    for kind in kinds {
      guard let command = program.commands.first(where: { $0.words == [word, kind.word] }) else { continue }
      lines += ["        \(kind.word))", "          shift words; (( CURRENT-- ))"]
      lines += [String(arguments(command, indent: "          ").dropLast()), "          ;;"]
    }
    return (lines + ["      esac", "      ;;", ""]).joined(separator: "\n")
  }

  private func described(_ words: [(word: String, text: String)]) -> String {
    words.map { quoted("\($0.word):\($0.text.replacing("\\", with: "\\\\").replacing(":", with: "\\:"))") }
      .joined(separator: " ")
  }

  private func arguments(_ command: ProgramOutline.Command, indent: String) -> String {
    var lines = command.options.map { option in
      let text = option.text.map { "[]:\\".contains($0) ? "\\\($0)" : String($0) }.joined()
      return switch option.kind {
      case .none: quoted("\(option.name)[\(text)]")
      case .file: quoted("\(option.name)=[\(text)]:\(option.value ?? ""):_files")
      case .folder: quoted("\(option.name)=[\(text)]:\(option.value ?? ""):_files -/")
      case .other: quoted("\(option.name)=[\(text)]:\(option.value ?? ""): ")
      }
    }
    if !command.operands.isEmpty { lines.append(quoted(":operand:(\(command.operands.joined(separator: " ")))")) }
    return "\(indent)_arguments \(lines.joined(separator: " \\\n\(indent)  "))\n"
  }

  private func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "'\\''"))'" }
}

private struct FishCompletion {
  let program: ProgramOutline

  init(_ program: ProgramOutline) {
    self.program = program
  }

  func script(_ made: String) -> String {
    var lines = ["# \(made)"]
    let function = "__\(program.name.replacing("-", with: "_"))"
    if !program.firstWords.isEmpty {
      lines += [
        "function \(function)_words", "  set --local words (commandline -opc)", "  set --erase words[1]",
        "  echo \"$words \"", "end",
        "# Whether exactly these words stand before the cursor, and whether these do first.",
        "function \(function)_at", "  test (\(function)_words) = \"$argv \"", "end",
        "function \(function)_in", "  string match --quiet -- \"$argv *\" (\(function)_words)", "end",
      ]
    }
    lines.append("complete -c \(program.name) -f")
    for group in [[]] + program.groups.map({ [$0] }) {
      let condition = ([function + "_at"] + group).joined(separator: " ")
      for next in program.continuations(of: group) {
        lines.append("complete -c \(program.name) -n '\(condition)' -a \(next.word) -d \(quoted(next.text))")
      }
    }
    for command in program.commands {
      var condition = ""
      if !command.words.isEmpty {
        condition = " -n '\(function)_in \(command.words.joined(separator: " "))'"
      } else if !program.firstWords.isEmpty {
        condition = " -n \(function)_at"
      }
      for option in command.options {
        lines.append(
          "complete -c \(program.name)\(condition) -l \(option.name.dropFirst(2))\(value(option.kind)) -d "
            + quoted(option.text))
      }
      if !command.operands.isEmpty {
        lines.append("complete -c \(program.name)\(condition) -a '\(command.operands.joined(separator: " "))'")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func value(_ kind: ProgramOutline.ValueKind) -> String {
    switch kind {
    case .none: ""
    case .file: " -r -F"
    case .folder: " -x -a '(__fish_complete_directories)'"
    case .other: " -x"
    }
  }

  private func quoted(_ text: String) -> String {
    "'\(text.replacing("\\", with: "\\\\").replacing("'", with: "\\'"))'"
  }
}
