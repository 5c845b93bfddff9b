internal import COpenSSL

/// A certificate revocation list (RFC 5280 section 5), read but not trusted.
package struct RevocationList: Equatable, Sendable {
  package let der: [UInt8]

  /// - Throws: ``CertificateError``
  package init(der: [UInt8]) throws(CertificateError) {
    guard unsafe cs_x509_is_revocation_list(der, der.count) == 1 else { throw CertificateError("encoding") }
    self.der = der
  }
}

/// Validates certification paths (RFC 5280 section 6) by OpenSSL.
package enum CertificateChain {
  /// Why there is no valid path.
  package enum Failure: Error, Equatable, Sendable {
    /// It ends before it reaches an anchor.
    case noAnchor
    case notYetValid
    case expired
    case revoked
    /// There are revocation lists, but none of an issuer in the path.
    case noRevocationList
    case revocationListExpired
    /// A certificate of the path, or a list, is not signed by its issuer.
    case signature
    /// The rest, in OpenSSL's words.
    case invalid(String)
  }

  /// - Parameters:
  ///   - certificate: the end of the path
  ///   - intermediates: what leads to an anchor, in any order
  ///   - anchors: what is trusted; these need not be self-signed
  ///   - revocationLists: where there are any, every certificate below the anchor needs one
  ///   - time: seconds since 1970-01-01 UTC
  ///   - isStrict: with the formalities of RFC 5280 section 4, which certificates of some vendors lack
  /// - Returns: the anchor
  /// - Throws: ``Failure``
  package static func validate(
    _ certificate: Certificate, intermediates: [Certificate], anchors: [Certificate],
    revocationLists: [RevocationList], at time: Int64, isStrict: Bool = true
  ) throws(Failure) -> Certificate {
    guard !anchors.isEmpty else { throw .noAnchor }
    let parts = [certificate.der] + intermediates.map(\.der) + anchors.map(\.der) + revocationLists.map(\.der)
    var anchor = 0
    let error = unsafe cs_x509_verify(
      parts.flatMap { $0 }, parts.map(\.count), intermediates.count, anchors.count, revocationLists.count, time,
      isStrict ? 1 : 0, &anchor)
    guard error == X509_V_OK else { throw failure(error) }
    return anchors[anchor]
  }

  private static func failure(_ error: Int32) -> Failure {
    switch error {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
      X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      .noAnchor
    case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
    case X509_V_ERR_CERT_HAS_EXPIRED: .expired
    case X509_V_ERR_CERT_REVOKED: .revoked
    case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER: .noRevocationList
    case X509_V_ERR_CRL_HAS_EXPIRED: .revocationListExpired
    case X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_CRL_SIGNATURE_FAILURE: .signature
    default: .invalid(unsafe String(cString: cs_x509_reason(error)))
    }
  }
}

extension CertificateChain.Failure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noAnchor: "it leads to no certificate that is trusted here"
    case .notYetValid: "a certificate is not valid yet"
    case .expired: "a certificate has expired"
    case .revoked: "a certificate is revoked"
    case .noRevocationList: "there is no revocation list of one of the issuers"
    case .revocationListExpired: "a revocation list has expired"
    case .signature: "a certificate or revocation list is not signed by its issuer"
    case .invalid(let reason): reason
    }
  }
}
