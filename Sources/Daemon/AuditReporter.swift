internal import AuditLog
internal import Platform
internal import WebAuthn

/// What the admin socket's `audit` says: all that it takes to verify the log.
struct AuditReport: Codable, Equatable {
  /// Where the log is.
  var path: String
  /// The number of the last record that is durable.
  var sequence: Int64
  /// SHA-256 of its line, in hexadecimal.
  var hash: String
  /// nil where the TPM could not be asked.
  var anchor: Int64?
  /// Why not.
  var problem: String?
  /// SubjectPublicKeyInfo of the key that signs, base64url.
  var publicKey: String
  var firstAnchor: Int64
}

struct AuditReporter: Sendable {
  let path: String
  let file: AuditFile
  let signer: any AuditSigner

  @Sendable func make() async -> AuditReport {
    let end = file.end
    var report = AuditReport(
      path: path, sequence: Int64(clamping: end.sequence), hash: hexadecimal(end.hash),
      publicKey: Base64URL.encode(signer.auditKey.publicKey), firstAnchor: Int64(clamping: signer.auditKey.firstAnchor))
    do throws(AuditError) {
      report.anchor = Int64(clamping: try await signer.anchor())
    } catch {
      report.problem = error.description
    }
    return report
  }
}
