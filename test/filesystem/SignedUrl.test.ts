import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SignedUrl from "../../src/filesystem/SignedUrl.ts"
import * as World from "./World.ts"

const key = new Uint8Array(32).fill(1)
const otherKey = new Uint8Array(32).fill(2)
const grant: SignedUrl.Grant = { method: "GET", bucket: "velero", key: "backups/b1/b1-logs.gz", expires: 1_800_000_000 }

describe("a signature", () => {
  it("is HMAC-SHA256 over method, bucket, key and expiry", () => {
    const expected = createHmac("sha256", key)
      .update('["GET","velero","backups/b1/b1-logs.gz",1800000000]')
      .digest("base64url")
    assert.strictEqual(SignedUrl.sign(key, grant), expected)
    assert.isTrue(SignedUrl.isSigned([key], grant, expected))
  })

  it.each<readonly [string, Partial<SignedUrl.Grant>]>([
    ["bucket", { bucket: "velero2" }],
    ["key", { key: "backups/b1/b1.tar.gz" }],
    ["expiry", { expires: 1_800_000_001 }],
    ["border between bucket and key", { bucket: "velero/backups", key: "b1/b1-logs.gz" }]
  ])("of another %s is none", (_, change) =>
    assert.isFalse(SignedUrl.isSigned([key], { ...grant, ...change }, SignedUrl.sign(key, grant)))
  )

  it("is made by any of the keys, and by no other", () => {
    const signature = SignedUrl.sign(key, grant)
    assert.isTrue(SignedUrl.isSigned([otherKey, key], grant, signature))
    assert.isTrue(SignedUrl.isSigned([key, otherKey], grant, signature))
    assert.isFalse(SignedUrl.isSigned([otherKey], grant, signature))
    assert.isFalse(SignedUrl.isSigned([], grant, signature))
  })

  it.each(["", "A", "A".repeat(43), "A".repeat(44), "=".repeat(43)])("is not %j", (signature) =>
    assert.isFalse(SignedUrl.isSigned([key], grant, signature))
  )
})

describe("a URL", () => {
  const target = (of: SignedUrl.Grant): string => {
    const url = SignedUrl.url("https://files.example.com", of, SignedUrl.sign(key, of))
    return url.slice("https://files.example.com".length)
  }

  it("is readable for the keys that Velero uses", () =>
    assert.strictEqual(
      SignedUrl.url("http://files.velero:8090/", grant, "SIGNATURE"),
      "http://files.velero:8090/velero/backups/b1/b1-logs.gz?expires=1800000000&signature=SIGNATURE"
    ))

  it.effect.prop(
    "is read back, for every key, and as browsers and Go spell it",
    { key: World.key },
    ({ key: anyKey }) =>
      Effect.sync(() => {
        const of = { ...grant, key: anyKey }
        const claim = { grant: of, signature: SignedUrl.sign(key, of) }
        assert.deepStrictEqual(SignedUrl.parse(target(of)), Option.some(claim))
        const url = new URL(`http://x${target(of)}`)
        assert.deepStrictEqual(SignedUrl.parse(url.pathname + url.search), Option.some(claim))
      }),
    { arbitrary: { runs: 300 } }
  )

  it.each([
    "/",
    "/healthz",
    "/velero",
    "/velero?expires=1&signature=",
    "/velero/k",
    `/velero/?expires=1&signature=${"A".repeat(43)}`,
    `/velero/k?signature=${"A".repeat(43)}`,
    `/velero/k?expires=1&signature=${"A".repeat(42)}`,
    `/velero/k?expires=1e9&signature=${"A".repeat(43)}`,
    `/velero/k?expires=-1&signature=${"A".repeat(43)}`,
    `/velero/../k?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%2E%2E/k?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%2e%2e%2fk?expires=1&signature=${"A".repeat(43)}`,
    `/velero/a%2Fb?expires=1&signature=${"A".repeat(43)}`,
    `/velero//k?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%00?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%2500?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%?expires=1&signature=${"A".repeat(43)}`,
    `/velero/%ff?expires=1&signature=${"A".repeat(43)}`,
    `/.velero-filesystem/signing-key?expires=1&signature=${"A".repeat(43)}`,
    `http://x/velero/k?expires=1&signature=${"A".repeat(43)}`,
    `//velero/k?expires=1&signature=${"A".repeat(43)}`
  ])("is not %s", (text) => assert.deepStrictEqual(SignedUrl.parse(text), Option.none()))
})
