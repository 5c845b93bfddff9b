internal import WebAuthn

/// The models for which an authority makes certificates, by their AAGUIDs.
package enum CountersignModel {
  package static let hardware = AAGUIDText.decode("02ae1364-7bbe-474c-bd39-ff3387457c82") ?? []
  package static let software = AAGUIDText.decode("8bd87049-555e-4235-8d19-1f1276c025ce") ?? []
}
