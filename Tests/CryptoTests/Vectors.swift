import TestSupport

/// Published vectors and, where the standards publish none (RSA, SPKI), values made by another implementation
/// (pyca/cryptography). All hexadecimal.
enum Vectors {
  /// RFC 5869 appendix A.1 to A.3: key, salt, info, output.
  static let hkdf: [(key: [UInt8], salt: [UInt8], info: [UInt8], output: [UInt8])] = [
    (
      hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
      hex("000102030405060708090a0b0c"),
      hex("f0f1f2f3f4f5f6f7f8f9"),
      hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    ),
    (
      hex(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c"
          + "2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f"),
      hex(
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c"
          + "8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"),
      hex(
        "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdc"
          + "dddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
      hex(
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e"
          + "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")
    ),
    (
      hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
      hex(""),
      hex(""),
      hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    ),
  ]

  /// RFC 4231 test cases 1 to 4, 6, 7 (5 is truncated): key, message, code.
  static let hmac: [(key: [UInt8], message: [UInt8], code: [UInt8])] = [
    (
      hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
      hex("4869205468657265"),
      hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    ),
    (
      hex("4a656665"),
      hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f"),
      hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    ),
    (
      hex("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
      hex(
        "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
          + "dddddddddd"),
      hex("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe")
    ),
    (
      hex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
      hex(
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
          + "cdcdcdcdcd"),
      hex("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b")
    ),
    (
      hex(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
      hex(
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d204861736820"
          + "4b6579204669727374"),
      hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    ),
    (
      hex(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
      hex(
        "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65"
          + "206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b"
          + "6579206e6565647320746f20626520686173686564206265666f7265206265696e672075736564206279207468"
          + "6520484d414320616c676f726974686d2e"),
      hex("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2")
    ),
  ]

  /// The GCM specification of McGrew and Viega, test cases 13 to 16: key, nonce, associated data, plaintext,
  /// ciphertext and tag.
  static let gcm: [(key: [UInt8], nonce: [UInt8], associated: [UInt8], plaintext: [UInt8], sealed: [UInt8])] = [
    (
      hex("0000000000000000000000000000000000000000000000000000000000000000"),
      hex("000000000000000000000000"),
      hex(""),
      hex(""),
      hex("530f8afbc74536b9a963b4f1c4cb738b")
    ),
    (
      hex("0000000000000000000000000000000000000000000000000000000000000000"),
      hex("000000000000000000000000"),
      hex(""),
      hex("00000000000000000000000000000000"),
      hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    ),
    (
      hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
      hex("cafebabefacedbaddecaf888"),
      hex(""),
      hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
          + "a6b525b16aedf5aa0de657ba637b391aafd255"),
      hex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
          + "828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c")
    ),
    (
      hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
      hex("cafebabefacedbaddecaf888"),
      hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
      hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
          + "a6b525b16aedf5aa0de657ba637b39"),
      hex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
          + "828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b")
    ),
  ]

  /// RFC 6979 appendix A.2.5, message "sample".
  static let p256 = (
    x: hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"),
    y: hex("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"),
    r: hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"),
    s: hex("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"),
    spki: hex(
      "3059301306072a8648ce3d020106082a8648ce3d0301070342000460fed4ba255a9d31c961eb74c6356d68c049"
        + "b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d44622"
        + "99")
  )

  /// RFC 6979 appendix A.2.6, message "sample".
  static let p384 = (
    x: hex(
      "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a2545154"
        + "80bc13"),
    y: hex(
      "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533"
        + "264720"),
    r: hex(
      "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80"
        + "fabe46"),
    s: hex(
      "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38"
        + "628ac8"),
    spki: hex(
      "3076301006072a8648ce3d020106052b8104002203620004ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae"
        + "92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708"
        + "a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720")
  )

  /// A fresh 2048-bit key, exponent 65537, message "sample".
  static let rsa = (
    modulus: hex(
      "db68e3057f05a76792939afd7123d267205fbc783af907b875beb1abe24b3134acac010d7abd2a30920ff5382e"
        + "bc2a6f1dffb77074d90df8deec1b452593c3c8a1df8b803b27ee613856ce3312487b4111ed549e6b204d9cd42d"
        + "99cf8e4dff9a877b5de9e6e67d9743c7f663f0d2a9f963cd2ee78c3e3a76ddbddd94cdd9a55ca46bc3921574c9"
        + "05ee20f36d87110014b6b7274b5325abb3d7db0a55bb5600a1d22d6446ac6fb32150e5daed0b1ef052265703ce"
        + "560833345a164307cbebd71c313c19e31e3ed02796b5727968231d3ad0ef9fa936de193095793001ea1bcdc136"
        + "58e416d46c193355c1fe5aa3e5e0ea35e05ef021851e328bcc8131616fa73d"),
    exponent: hex("010001"),
    signature: hex(
      "1a9a5ce45c44e2c94473536991175106b5dd02a7c7e433aa20be2fde82c6696c0a5be081b8777da6fac5891d07"
        + "70e8d5432e2166bc68c6d3fb8dcf563426e49fabe2a6a2a701cb30a9f729f8a8deedf75057f6232626bec18474"
        + "2d2a087ac8c7815902447ac9b39adaac11438f8b5c798c738fc57bf4982961442bf02a6c7314a843d465906e6c"
        + "cdd34e86951068a4e1589dbae11647e8f63d930a8e3558a4fed0c1dc7fde6061d73bfca90342b67304c5109afd"
        + "72bebeac4ff48ff7f8ece6b6551a81a86427d74ee2a4ffc11dc2996e1f5dc1e84ef14864dc7db76e06877f7057"
        + "f810d6dae45b35b2da8bb26e809db61dcab30f0dda689da153ddf1a54646f3"),
    pss: hex(
      "8cc86be744ea861fb9d42596ba57c8abbfcb262f75881cb5810ac53c1bfd364fec6146204edf6ac9765e0246d4"
        + "be590cd5ae710562728d0cf18abcbba2f23afa150b16fb420d0bc8f56774c324c36d49ec25468012ddfa7ade00"
        + "8d88463a2eaeb7ec22a3cc1478a972a28d46abc2c2b448a9d3fdd15958e804fbf30e9055b04890b08483174916"
        + "6c0d45213476aba4e1cf5c142d7489c338c8f17274726c58b82dea56c2065327f876b07959317be793bf7c4085"
        + "eb92d6a9f5520139979b3b81b2aeaa21616bb4f740fa25535b71bc1aee0cf85099ecf2a8c6d0f28f85357974aa"
        + "9625170eec58fe325b856ffe55e00d7be08e4e461b1009e8a969ba1433bde7"),
    sha1: hex(
      "98189161d8d5d29ab39d9f9e1e5d6852d648f0f2a7706a99ccafe0445b1b0a64624a4fc47d6609b15dda82dff8"
        + "353948be2c7451ef2be93e23711d1e5143c7a1e6711213cff71fc0cc530fd84212fc350f723e98273bf8e36f14"
        + "630da7f12a3f4e173d8cb4dc3be43fceeb54b0cf105664aad980114ca3edfc03440c55f14443b606f5b3ad7329"
        + "401f9f04cb0bfdedfc80d5ff999c0fe9ba3971749b0d369ce383c54b39f24286602b5c65e8b00c54fe081f2cd2"
        + "23b52f85c841d46ac3ef2196a0be54d9a2288e6da08dcd5c33d293dbec28bc22ede7f362da8256c2e61a44f8b2"
        + "58eb05215dbf450ddec3b19505cc9c91b4944f225a00bc88958c060c619c6d"),
    spki: hex(
      "30820122300d06092a864886f70d01010105000382010f003082010a0282010100db68e3057f05a76792939afd"
        + "7123d267205fbc783af907b875beb1abe24b3134acac010d7abd2a30920ff5382ebc2a6f1dffb77074d90df8de"
        + "ec1b452593c3c8a1df8b803b27ee613856ce3312487b4111ed549e6b204d9cd42d99cf8e4dff9a877b5de9e6e6"
        + "7d9743c7f663f0d2a9f963cd2ee78c3e3a76ddbddd94cdd9a55ca46bc3921574c905ee20f36d87110014b6b727"
        + "4b5325abb3d7db0a55bb5600a1d22d6446ac6fb32150e5daed0b1ef052265703ce560833345a164307cbebd71c"
        + "313c19e31e3ed02796b5727968231d3ad0ef9fa936de193095793001ea1bcdc13658e416d46c193355c1fe5aa3"
        + "e5e0ea35e05ef021851e328bcc8131616fa73d0203010001")
  )
}

func hex(_ digits: String) -> [UInt8] { [UInt8](hex: digits) }
