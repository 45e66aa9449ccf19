/**
 * go-plugin's AutoMTLS, server side: the host sends a self-signed client certificate in `PLUGIN_CLIENT_CERT`, the plugin
 * answers with one of its own in the handshake line, and both sides accept nothing else.
 *
 * Velero does not use it; other hosts do. The certificate library is loaded only when it is asked for.
 *
 * @see https://github.com/hashicorp/go-plugin/blob/v1.6.0/mtls.go
 */
import { X509Certificate } from "node:crypto"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"

/** The host's certificate cannot be read, or ours cannot be made. */
export class AutoMtlsError extends Data.TaggedError("AutoMtlsError")<{ readonly detail: string }> {
  override get message() {
    return `AutoMTLS was asked for by PLUGIN_CLIENT_CERT, but ${this.detail}`
  }
}

/** PEM texts for the server, DER of its certificate for the handshake line. */
export interface Credentials {
  readonly clientCertificate: string
  readonly certificate: string
  readonly privateKey: string
  readonly der: Uint8Array
}

const validYears = 30

/** Makes the server's side for a host with this certificate (PEM). */
export const make = (clientCertificate: string): Effect.Effect<Credentials, AutoMtlsError> =>
  Effect.gen(function* () {
    yield* Effect.try({
      try: () => new X509Certificate(clientCertificate),
      catch: () => new AutoMtlsError({ detail: "it holds no PEM certificate" })
    })
    const now = yield* DateTime.now
    const pems = yield* Effect.tryPromise({
      try: async () => {
        const { generate } = await import("selfsigned")
        return generate([{ name: "commonName", value: "localhost" }], {
          keyType: "ec",
          curve: "P-256",
          algorithm: "sha256",
          notBeforeDate: DateTime.toDateUtc(DateTime.subtract(now, { minutes: 1 })),
          notAfterDate: DateTime.toDateUtc(DateTime.add(now, { years: validYears })),
          extensions: [
            { name: "basicConstraints", cA: true, critical: true },
            {
              name: "keyUsage",
              digitalSignature: true,
              keyEncipherment: true,
              keyAgreement: true,
              keyCertSign: true,
              critical: true
            },
            { name: "extKeyUsage", serverAuth: true, clientAuth: true },
            { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }
          ]
        })
      },
      catch: (cause) => new AutoMtlsError({ detail: `no certificate could be made: ${String(cause)}` })
    })
    return {
      clientCertificate,
      certificate: pems.cert,
      privateKey: pems.private,
      der: new X509Certificate(pems.cert).raw
    }
  })
