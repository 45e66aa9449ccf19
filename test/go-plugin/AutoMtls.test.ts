import { assert, describe, it } from "@effect/vitest"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { generate } from "selfsigned"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as AutoMtls from "../../src/go-plugin/AutoMtls.ts"

const host = Effect.promise(() => generate([{ name: "commonName", value: "localhost" }]))

describe("make", () => {
  it.effect("answers with a certificate that Go's host accepts for localhost", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2))
      const { cert } = yield* host
      const credentials = yield* AutoMtls.make(cert)
      assert.strictEqual(credentials.clientCertificate, cert)
      const certificate = new X509Certificate(credentials.certificate)
      assert.deepStrictEqual(Buffer.from(credentials.der), certificate.raw)
      assert.isTrue(certificate.checkPrivateKey(createPrivateKey(credentials.privateKey)))
      assert.strictEqual(certificate.checkHost("localhost", { subject: "never" }), "localhost")
      assert.isTrue(certificate.verify(certificate.publicKey))
      assert.isTrue(certificate.ca)
      assert.deepStrictEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
      // Clocks of host and plugin are one, but seconds are cut off.
      assert.strictEqual(certificate.validFrom, "Jan  1 23:59:00 2026 GMT")
      assert.strictEqual(certificate.validTo, "Jan  2 00:00:00 2056 GMT")
    })
  )

  it.effect("never answers twice with the same key", () =>
    Effect.gen(function* () {
      const { cert } = yield* host
      const [first, second] = yield* Effect.all([AutoMtls.make(cert), AutoMtls.make(cert)])
      assert.notStrictEqual(first.privateKey, second.privateKey)
    })
  )

  it.effect.each(["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])(
    "refuses a host without a certificate: %j",
    (text) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(AutoMtls.make(text))
        assert.strictEqual(
          error.message,
          "AutoMTLS was asked for by PLUGIN_CLIENT_CERT, but it holds no PEM certificate"
        )
      })
  )
})
